"""The text that was forwarded to a client, kept to count its tokens if the provider reports no usage.

It is kept only in memory, and only as long as the request lasts.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from tollgate_edge.usage.token_counting import UNCOUNTABLE, count_text

# Chunks are kept unparsed up to this size, because most are never counted. Beyond it, only their text is kept.
_RAW_BYTES = 64 << 10
# Members of a delta or a message that hold no generated text: names of the protocol, and media, which is not text.
_NOT_TEXT = frozenset(
    {
        "audio",
        "encrypted_content",
        "finish_reason",
        "format",
        "id",
        "image_url",
        "images",
        "index",
        "logprobs",
        "role",
        "signature",
        "thinking_blocks",
        "thought_signature",
        "type",
    }
)
# A provider that states the same thoughts under several names means them once.
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")

# A message's `name` is its author's. That of a tool is generated.
_NOT_THE_REPLY = _NOT_TEXT | frozenset({"name", "audio_content", *_THOUGHTS})
_ARGUMENTS = ("arguments", "input")

_decoder = msgspec.json.Decoder()


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
        for event in b"".join(self._raw).split(b"\n\n"):
            if event:
                self._take(_data(event))
        self._raw, self._raw_bytes = [], 0

    def _take(self, data: bytes) -> None:
        for choice in _choices(data):
            texts = self._texts.setdefault(_index(choice), [])
            if "delta" in choice or "text" in choice:
                texts += _texts_of(choice)
            elif not texts:
                # After deltas, a whole message repeats them, as MiniMax's last event does.
                texts += _texts_of(choice)


def count_response(body: bytes) -> int:
    """Count the tokens of the texts of a complete response."""
    return sum(count_text("".join(_texts_of(choice))) for choice in _choices(body))


def has_texts(data: bytes) -> bool:
    """Whether a chunk has any generated text."""
    return any(text for choice in _choices(data) for text in _texts_of(choice))


def decode_leniently(data: bytes) -> Any:
    """Decode JSON that may hold half of a surrogate pair; None if it is not JSON."""
    try:
        return _decoder.decode(data)
    except UNCOUNTABLE:
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _data(event: bytes) -> bytes:
    lines = event.split(b"\n")
    return b"\n".join(line.removeprefix(b"data:") for line in lines if line.startswith(b"data:"))


def _choices(data: bytes) -> Iterator[dict[str, Any]]:
    body = decode_leniently(data)
    choices = body.get("choices") if isinstance(body, dict) else None
    return (choice for choice in (choices if isinstance(choices, list) else ()) if isinstance(choice, dict))


def _index(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _texts_of(choice: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a choice: of its delta or message, or the text of a legacy completion."""
    message = choice.get("delta") or choice.get("message")
    if not isinstance(message, dict):
        yield from _texts(choice.get("text"))
        return
    for name in _THOUGHTS:
        if message.get(name):
            yield from _texts(message[name])
            break
    for name, value in message.items():
        if name == "audio" and isinstance(value, dict):
            yield from _texts(value.get("transcript"))
        elif name not in _NOT_THE_REPLY:
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield the generated texts in a value of any shape, in the order in which they stand."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, list):
            waiting += reversed(part)
        elif isinstance(part, dict):
            waiting += [_generated(name, member) for name, member in reversed(part.items()) if name not in _NOT_TEXT]


def _generated(name: str, member: Any) -> Any:
    # Some servers give the arguments of a call as an object, which the model generated as text.
    return msgspec.json.encode(member).decode() if name in _ARGUMENTS and isinstance(member, dict) else member
