"""Streams whose events have a type: OpenAI's Responses, images and audio, and Anthropic's Messages.

Events that contain only text are recognized by their `event:` line and not parsed. The event that ends the response is
withheld.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.http.request_context import EVENT_STREAM
from tollgate_edge.streaming.delivered_text import decode_leniently
from tollgate_edge.streaming.errors import EVENT_TOO_LARGE, INCOMPLETE_RESPONSE, NOT_AN_EVENT_STREAM, NOT_JSON
from tollgate_edge.streaming.sse import BLANK_LINE, EventBuffer, EventTooLarge, event_data, event_name, has_sse_field
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.token_counting import count_text


class TypedEvent(msgspec.Struct):
    type: str = ""


_type_decoder = msgspec.json.Decoder(TypedEvent)


class TypedEventStream(ABC):
    """A base of `ResponseStream`s. A subclass defines what the event types of its API mean."""

    content_type: bytes | None = EVENT_STREAM
    text_events: ClassVar[frozenset[bytes]]
    """Types of events that contain only text."""

    def __init__(self) -> None:
        self.done = False
        self.failure: ProviderFailed | None = None
        self.usage = StreamUsage()
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
    def handle_event(self, event_type: str, data: bytes) -> bool:
        """Process an event that is not a text event; return whether it ends the response."""

    @abstractmethod
    def delta_text(self, event: dict[str, Any]) -> str:
        """Return the text of a text event."""

    def feed(self, chunk: bytes) -> bytes:
        if self.is_over:
            return b""
        try:
            block = self._buffer.feed(chunk)
        except EventTooLarge:
            self.fail(EVENT_TOO_LARGE)
            return b""
        return b"".join(map(self._process, block.split(BLANK_LINE)[:-1]))

    def finish(self) -> bytes:
        forwarded = self.feed(BLANK_LINE) if self._buffer.has_partial_event else b""
        if not self.is_over:
            self.handle_end()
        return forwarded

    def handle_end(self) -> None:
        """Handle the end of a body that no event has ended."""
        self.fail(INCOMPLETE_RESPONSE)

    def delivered_tokens(self) -> int:
        return count_text("".join(map(self._text, self._texts)))

    def _text(self, data: bytes) -> str:
        # The event was forwarded unparsed.
        event = decode_leniently(data)
        return self.delta_text(event) if isinstance(event, dict) else ""

    def fail(self, message: str) -> None:
        self.failure = ProviderFailed(502, message)

    def _process(self, event: bytes) -> bytes:
        """Process one event; return it, or nothing if it is withheld."""
        if self.is_over:
            return b""
        data = event_data(event)
        if not data:
            return self._handle_no_data(event)
        name = event_name(event)
        if name not in self.text_events:
            event_type = self._event_type(data)
            if event_type is None or event_type.encode() not in self.text_events:
                return b"" if event_type is None else self._handle_other(event, event_type, data)
        elif not data.endswith(b"}"):
            self.fail(NOT_JSON)
            return b""
        self.add_text(data)
        return event + BLANK_LINE

    def add_text(self, data: bytes) -> None:
        """Keep an event whose text is counted if the provider does not state its output."""
        self._texts.append(data)
        self.usage.note_text()

    def _handle_no_data(self, event: bytes) -> bytes:
        if has_sse_field(event):
            return event + BLANK_LINE
        self.fail(NOT_AN_EVENT_STREAM)
        return b""

    def _event_type(self, data: bytes) -> str | None:
        try:
            return _type_decoder.decode(data).type
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail(NOT_JSON)
            return None

    def _handle_other(self, event: bytes, event_type: str, data: bytes) -> bytes:
        is_last = self.handle_event(event_type, data)
        if is_last:
            self.done = True
            self.last_event = event + BLANK_LINE
        return b"" if is_last or self.failure is not None else event + BLANK_LINE


class BinaryStream:
    """A `ResponseStream` of raw bytes, such as audio. The last chunk is withheld."""

    content_type: bytes | None = None

    def __init__(self, tokens: TokenCounts) -> None:
        """Start a response whose usage is known from the request."""
        self.done = False
        self.failure: ProviderFailed | None = None
        self.usage = StreamUsage()
        self.tokens: TokenCounts | None = None
        self.finish_reason = ""
        self.served_model = ""
        self.last_event = b""
        self._tokens = tokens

    @property
    def is_over(self) -> bool:
        return self.done

    def feed(self, chunk: bytes) -> bytes:
        forwarded, self.last_event = self.last_event, chunk
        return forwarded

    def finish(self) -> bytes:
        self.tokens = self._tokens
        self.done = True
        return b""

    def truncation_event(self, choices: int) -> bytes:  # noqa: ARG002 - never truncated: all of it is reserved
        return b""

    def delivered_tokens(self) -> int:
        return 0
