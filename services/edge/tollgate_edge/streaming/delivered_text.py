"""What a client has been handed of an answer, kept to count its tokens if the provider does not tell them.

It lives as long as its request, in memory alone.
"""

import msgspec

from tollgate_edge.usage.token_counting import UNCOUNTABLE, count_text

# Chunks are kept as they came, because most are never counted, until they take this much; then only their text is.
_RAW_BYTES = 64 << 10


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    function: _Function | None = None


class _Text(msgspec.Struct):
    """A stream's `delta` or a whole answer's `message`."""

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
    """Of a completion that is no chat."""

    def parts(self) -> list[str]:
        if self.text:
            return [self.text]
        told = self.delta or self.message
        return told.parts() if told is not None else []


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None


_decoder = msgspec.json.Decoder(_Answer)


class DeliveredText:
    def __init__(self) -> None:
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._texts: dict[int, list[str]] = {}

    def add(self, events: bytes) -> None:
        """Take events of a stream, whole ones."""
        self._raw.append(events)
        self._raw_bytes += len(events)
        if self._raw_bytes > _RAW_BYTES:
            self._extract()

    def count_tokens(self) -> int:
        """Tokens of everything taken so far, each choice counted as one text."""
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
    """Tokens of the texts of a whole answer."""
    return sum(count_text("".join(choice.parts())) for choice in _choices(body))


def _choices(data: bytes) -> list[_Choice]:
    try:
        return _decoder.decode(data).choices or []
    except UNCOUNTABLE:
        # Not a chunk with choices, such as a comment in between: it holds no text.
        return []
