"""Streams whose events name their kind, as those of OpenAI's Responses, images and audio and Anthropic's Messages do.

Events that hold text alone are told by their `event:` line and not parsed. The one that ends the answer is withheld.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.http.request_context import EVENT_STREAM
from tollgate_edge.streaming.sse import BLANK_LINE, EventBuffer, EventTooLarge, event_data, event_name, has_sse_field
from tollgate_edge.usage.token_counting import UNCOUNTABLE, count_text


class TypedEvent(msgspec.Struct):
    type: str = ""


_type_decoder = msgspec.json.Decoder(TypedEvent)
_object_decoder = msgspec.json.Decoder(dict[str, Any])


class TypedEventStream(ABC):
    """An `ResponseStream`, but for what the kinds of events of one protocol mean."""

    content_type: bytes | None = EVENT_STREAM
    text_events: ClassVar[frozenset[bytes]]
    """Kinds that hold text alone."""

    def __init__(self) -> None:
        self.done = False
        self.failure: ProviderFailed | None = None
        self.tokens: TokenCounts | None = None
        self.finish_reason = ""
        self.served_model = ""
        self.last_event = b""
        self._buffer = EventBuffer()
        self._texts: list[bytes] = []

    @property
    def is_over(self) -> bool:
        return self.done or self.failure is not None

    @abstractmethod
    def handle_event(self, kind: str, data: bytes) -> bool:
        """Take an event that is not plain; true if it is the one that ends the answer."""

    @abstractmethod
    def delta_text(self, event: dict[str, Any]) -> str:
        """The text that a plain event holds."""

    def feed(self, chunk: bytes) -> bytes:
        if self.is_over:
            return b""
        try:
            block = self._buffer.feed(chunk)
        except EventTooLarge:
            self.fail("The provider sent an event without an end.")
            return b""
        return b"".join(map(self._examine, block.split(BLANK_LINE)[:-1]))

    def finish(self) -> bytes:
        handed_on = self.feed(BLANK_LINE) if self._buffer.has_partial_event else b""
        if not self.is_over:
            self.fail("The provider ended its answer before it was complete.")
        return handed_on

    def delivered_tokens(self) -> int:
        return count_text("".join(map(self._text, self._texts)))

    def _text(self, data: bytes) -> str:
        # It was handed on unread.
        try:
            return self.delta_text(_object_decoder.decode(data))
        except UNCOUNTABLE:
            return ""

    def fail(self, message: str) -> None:
        self.failure = ProviderFailed(502, message)

    def _examine(self, event: bytes) -> bytes:
        """One event, or nothing if it is withheld."""
        if self.is_over:
            return b""
        data = event_data(event)
        if not data:
            return self._without_data(event)
        name = event_name(event)
        if name not in self.text_events:
            kind = self._kind(data)
            if kind is None or kind.encode() not in self.text_events:
                return b"" if kind is None else self._handed_on(event, kind, data)
        elif not data.endswith(b"}"):
            self.fail("The provider sent an event that is not JSON.")
            return b""
        self._texts.append(data)
        return event + BLANK_LINE

    def _without_data(self, event: bytes) -> bytes:
        if has_sse_field(event):
            return event + BLANK_LINE
        self.fail("The provider sent what is no stream of events.")
        return b""

    def _kind(self, data: bytes) -> str | None:
        try:
            return _type_decoder.decode(data).type
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail("The provider sent an event that is not JSON.")
            return None

    def _handed_on(self, event: bytes, kind: str, data: bytes) -> bytes:
        is_last = self.handle_event(kind, data)
        if is_last:
            self.done = True
            self.last_event = event + BLANK_LINE
        return b"" if is_last or self.failure is not None else event + BLANK_LINE


class BinaryStream:
    """An `ResponseStream` of bytes that are no events, such as sound. The last bytes are withheld."""

    content_type: bytes | None = None

    def __init__(self, tokens: TokenCounts) -> None:
        """Begin an answer whose usage the request tells."""
        self.done = False
        self.failure: ProviderFailed | None = None
        self.tokens: TokenCounts | None = None
        self.finish_reason = ""
        self.served_model = ""
        self.last_event = b""
        self._tokens = tokens

    @property
    def is_over(self) -> bool:
        return self.done

    def feed(self, chunk: bytes) -> bytes:
        handed_on, self.last_event = self.last_event, chunk
        return handed_on

    def finish(self) -> bytes:
        self.tokens = self._tokens
        self.done = True
        return b""

    def truncation_event(self, choices: int) -> bytes:  # noqa: ARG002 - it is never cut off: all of it was reserved
        return b""

    def delivered_tokens(self) -> int:
        return 0
