"""The text that was forwarded to a client, kept to count its tokens if the provider reports no usage.

It is kept only in memory, and only as long as the request lasts.
"""

import msgspec

from tollgate_edge.usage.token_counting import UNCOUNTABLE, count_text

# Chunks are kept unparsed up to this size, because most are never counted. Beyond it, only their text is kept.
_RAW_BYTES = 64 << 10


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    function: _Function | None = None


class _Text(msgspec.Struct):
    """The `delta` of a stream or the `message` of a complete response."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None

    def parts(self) -> list[str]:
        parts = [self.reasoning_content, self.content, self.refusal]
        for call in self.tool_calls or ():
            if call.function is not None:
                parts += [call.function.name, call.function.arguments]
        return [part for part in parts if part]


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Text | None = None
    message: _Text | None = None
    text: str | None = None
    """The text of a legacy completion."""

    def parts(self) -> list[str]:
        if self.text:
            return [self.text]
        text = self.delta or self.message
        return text.parts() if text is not None else []


class _ResponseBody(msgspec.Struct):
    choices: list[_Choice] | None = None


_decoder = msgspec.json.Decoder(_ResponseBody)


class DeliveredText:
    def __init__(self) -> None:
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._texts: dict[int, list[str]] = {}

    def add(self, events: bytes) -> None:
        """Add complete events of a stream."""
        self._raw.append(events)
        self._raw_bytes += len(events)
        if self._raw_bytes > _RAW_BYTES:
            self._extract()

    def count_tokens(self) -> int:
        """Count the tokens of all added events. Each choice is counted as one text."""
        self._extract()
        return sum(count_text("".join(texts)) for texts in self._texts.values())

    def _extract(self) -> None:
        for line in b"".join(self._raw).split(b"\n"):
            if line.startswith(b"data:"):
                self._take(line.removeprefix(b"data:"))
        self._raw, self._raw_bytes = [], 0

    def _take(self, data: bytes) -> None:
        for choice in _choices(data):
            self._texts.setdefault(choice.index, []).extend(choice.parts())


def count_response(body: bytes) -> int:
    """Count the tokens of the texts of a complete response."""
    return sum(count_text("".join(choice.parts())) for choice in _choices(body))


def _choices(data: bytes) -> list[_Choice]:
    try:
        return _decoder.decode(data).choices or []
    except UNCOUNTABLE:
        # Not a chunk with choices, for example a comment: it contains no text.
        return []
