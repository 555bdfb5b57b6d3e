"""A provider's stream of server-sent events: cut into whole events, searched for what is metered, handed on.

Most chunks are not parsed: a search tells whether one holds more than text. What is handed on does not
depend on how the network cut the stream.
"""

import re

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.http.request_context import EVENT_STREAM
from tollgate_edge.streaming.delivered_text import DeliveredText
from tollgate_edge.streaming.sse import BLANK_LINE, EventBuffer, EventTooLarge, event_data, has_sse_field
from tollgate_edge.usage.parsers import is_present, parse_chat_usage

DONE_EVENT = b"data: [DONE]\n\n"
CUT_OFF_REASON = "length"
# A raw quote cannot stand inside a JSON string, so this does not match in the middle of a text.
_TELLING = re.compile(rb'"(?:finish_reason": ?"|usage": ?\{|error")')
_NO_USAGE = (b',"usage":null', b', "usage": null')


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Chunk)


class ChatStream:
    """An `ResponseStream` of chat completions; the provider's [DONE] is what it withholds."""

    last_event = DONE_EVENT
    content_type: bytes | None = EVENT_STREAM

    def __init__(self, *, strips_usage: bool) -> None:
        """Begin a stream.

        Args:
            strips_usage: leave out the usage, for a client that did not ask for it.
        """
        self.done = False
        self.failure: ProviderFailed | None = None
        self.tokens: TokenCounts | None = None
        self.finish_reason = ""
        self.served_model = ""
        self._id = ""
        self._created = 0
        self._delivered = DeliveredText()
        self._strips_usage = strips_usage
        self._buffer = EventBuffer()
        # The first event is parsed in any case: it names the model that answers.
        self._is_first = True

    @property
    def is_over(self) -> bool:
        return self.done or self.failure is not None

    def feed(self, chunk: bytes) -> bytes:
        if self.is_over:
            return b""
        block = self._whole_events(chunk)
        if self._is_plain(block) and not self._is_first:
            handed_on = self._without_null_usage(block)
        else:
            handed_on = b"".join(self._examine(event) for event in block.split(BLANK_LINE)[:-1])
        self._is_first = self._is_first and not block
        if handed_on:
            self._delivered.add(handed_on)
        return handed_on

    def finish(self) -> bytes:
        # Some providers leave out the last blank line, or [DONE]; a finish reason tells that an answer is complete.
        handed_on = self.feed(BLANK_LINE) if self._buffer.has_partial_event else b""
        if not self.is_over and self.finish_reason:
            self.done = True
        if not self.is_over:
            self.failure = ProviderFailed(502, "The provider ended its answer before it was complete.")
        return handed_on

    def truncation_event(self, choices: int) -> bytes:
        chunk = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self.served_model,
            "choices": [{"index": index, "delta": {}, "finish_reason": CUT_OFF_REASON} for index in range(choices)],
        }
        return b"data: " + msgspec.json.encode(chunk) + BLANK_LINE

    def delivered_tokens(self) -> int:
        return self._delivered.count_tokens()

    def _whole_events(self, chunk: bytes) -> bytes:
        try:
            return self._buffer.feed(chunk)
        except EventTooLarge:
            return self._fail("The provider sent an event without an end.")

    @staticmethod
    def _is_plain(block: bytes) -> bool:
        """Whether every event is the JSON of a chunk that holds text at most."""
        return block.count(BLANK_LINE) == block.count(b"}\n\n") and _TELLING.search(block) is None

    def _examine(self, event: bytes) -> bytes:
        """One event, perhaps changed or left out."""
        data = event_data(event)
        if self.is_over:
            return b""
        if not data and not has_sse_field(event):
            return self._fail("The provider sent what is no stream of events.")
        if data == b"[DONE]":
            self.done = True
            return b""
        try:
            chunk = _decoder.decode(data or b"{}")
        except msgspec.ValidationError:
            # JSON, but of another kind than is known: the client may know it.
            chunk = _Chunk()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._fail("The provider sent a chunk that is not JSON.")
        if is_present(chunk.error):
            return self._fail("The provider had an error while it answered.")
        self._note(chunk)
        return self._without_usage(event, data, chunk)

    def _note(self, chunk: _Chunk) -> None:
        self.served_model = chunk.model or self.served_model
        self._id = chunk.id or self._id
        self._created = chunk.created or self._created
        for choice in chunk.choices or ():
            self.finish_reason = choice.finish_reason or self.finish_reason
        if is_present(chunk.usage):
            self.tokens = parse_chat_usage(chunk.usage)

    def _without_usage(self, event: bytes, data: bytes, chunk: _Chunk) -> bytes:
        if not self._strips_usage or not is_present(chunk.usage):
            return self._without_null_usage(event) + BLANK_LINE
        if not chunk.choices:
            return b""
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        del members["usage"]
        return b"data: " + msgspec.json.encode(members) + BLANK_LINE

    def _without_null_usage(self, block: bytes) -> bytes:
        if self._strips_usage:
            for member in _NO_USAGE:
                block = block.replace(member, b"")
        return block

    def _fail(self, message: str) -> bytes:
        self.failure = ProviderFailed(502, message)
        return b""
