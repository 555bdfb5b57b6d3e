"""The parser of streamed chat completions: it splits the stream into events, collects the usage and returns the rest.

Most chunks are not parsed: a regular expression detects whether a chunk contains more than text. The output does not
depend on how the network split the stream.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.http.request_context import EVENT_STREAM
from tollgate_edge.streaming.delivered_text import DeliveredText, has_texts
from tollgate_edge.streaming.errors import (
    EVENT_TOO_LARGE,
    INCOMPLETE_RESPONSE,
    NOT_AN_EVENT_STREAM,
    NOT_JSON,
    PROVIDER_STREAM_ERROR,
)
from tollgate_edge.streaming.sse import BLANK_LINE, EventBuffer, EventTooLarge, event_data, has_sse_field
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.parsers import is_present, parse_usage

DONE_EVENT = b"data: [DONE]\n\n"
CUT_OFF_REASON = "length"
# An unescaped quote cannot occur inside a JSON string, so this never matches inside a text.
_METERED = re.compile(rb'"(?:finish_reason": *"|usage": *\{|error")')
_NO_USAGE = (b',"usage":null', b', "usage": null')


class _Choice(msgspec.Struct):
    index: Any = 0
    finish_reason: Any = None
    usage: msgspec.Raw = msgspec.Raw()
    """Moonshot's place for it."""


class _Chunk(msgspec.Struct):
    id: Any = None
    created: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    x_groq: msgspec.Raw = msgspec.Raw()
    """Groq's place for the usage, if the request did not ask for it."""
    error: msgspec.Raw = msgspec.Raw()


class _GroqMember(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Chunk)
_groq_decoder = msgspec.json.Decoder(_GroqMember)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ChatStream:
    """A `ResponseStream` of chat completions. It withholds the provider's `[DONE]`."""

    last_event = DONE_EVENT
    content_type: bytes | None = EVENT_STREAM

    def __init__(
        self, *, strips_usage: bool, to_failure: Callable[[bytes], ProviderFailed] = lambda _: _neutral_failure()
    ) -> None:
        """Start a stream.

        Args:
            strips_usage: remove the usage, because the client did not ask for it.
            to_failure: converts the data of an event that reports an error.
        """
        self.done = False
        self.failure: ProviderFailed | None = None
        self.usage = StreamUsage()
        self.tokens: TokenCounts | None = None
        self.finish_reason = ""
        self.served_model = ""
        self._id = ""
        self._created = 0
        self._delivered = DeliveredText()
        self._strips_usage = strips_usage
        self._has_several_choices = False
        self._to_failure = to_failure
        self._buffer = EventBuffer()
        # The first event is always parsed, because it names the model.
        self._is_first = True

    @property
    def is_over(self) -> bool:
        return self.done or self.failure is not None

    def feed(self, chunk: bytes) -> bytes:
        if self.is_over:
            return b""
        block = self._whole_events(chunk)
        if self._is_plain(block) and not self._is_first:
            forwarded = self._without_null_usage(block)
            if forwarded:
                self.usage.note_text()
        else:
            forwarded = b"".join(self._process(event) for event in block.split(BLANK_LINE)[:-1])
        self._is_first = self._is_first and not block
        if forwarded:
            self._delivered.add(forwarded)
        return forwarded

    def finish(self) -> bytes:
        if self.finish_reason and self.usage.is_final:
            # Nothing that matters is missing, even if the connection broke within `[DONE]`.
            self.done = True
            return b""
        # Some providers omit the last blank line or [DONE]. A finish reason then marks the response as complete.
        forwarded = self.feed(BLANK_LINE) if self._buffer.has_partial_event else b""
        if not self.is_over and self.finish_reason:
            self.done = True
        if not self.is_over:
            self.failure = ProviderFailed(502, INCOMPLETE_RESPONSE)
        return forwarded

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
            return self._fail(EVENT_TOO_LARGE)

    @staticmethod
    def _is_plain(block: bytes) -> bool:
        """Whether every event is a JSON chunk that contains only text."""
        return block.count(BLANK_LINE) == block.count(b"}\n\n") and _METERED.search(block) is None

    def _process(self, event: bytes) -> bytes:
        """Parse one event; return it unchanged, changed or not at all."""
        data = event_data(event)
        if self.is_over:
            return b""
        if not data and not has_sse_field(event):
            return self._fail(NOT_AN_EVENT_STREAM)
        if data == b"[DONE]":
            self.done = True
            return b""
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._fail(NOT_JSON)
        self._record(chunk, data)
        if is_present(chunk.error):
            self.failure = self._to_failure(data)
            return b""
        return self._without_usage(event, data, chunk)

    def _record(self, chunk: _Chunk, data: bytes) -> None:
        self.served_model = _text(chunk.model) or self.served_model
        self._id = _text(chunk.id) or self._id
        if isinstance(chunk.created, int | float):
            self._created = int(chunk.created)
        usages = [chunk.usage]
        finish_reason = ""
        for choice in chunk.choices or ():
            finish_reason = _text(choice.finish_reason) or finish_reason
            usages.append(choice.usage)
            self._has_several_choices = self._has_several_choices or choice.index not in (0, None)
        if chunk.x_groq:
            usages.append(_groq_usage(chunk.x_groq))
        self.finish_reason = finish_reason or self.finish_reason
        has_text = chunk.choices and not is_present(chunk.error) and (not finish_reason or has_texts(data))
        if has_text:
            self.usage.note_text()
        for usage in usages:
            if is_present(usage):
                self.usage.add(parse_usage(usage))
        if has_text and not finish_reason and self._has_several_choices:
            # With `continuous_usage_stats`, vLLM states the usage of this choice alone:
            # github.com/vllm-project/vllm, vllm/entrypoints/openai/chat_completion/serving.py
            self.usage.note_text()

    def _without_usage(self, event: bytes, data: bytes, chunk: _Chunk) -> bytes:
        if not self._strips_usage or not is_present(chunk.usage):
            return self._without_null_usage(event) + BLANK_LINE
        if not chunk.choices:
            return b""
        members = _members_decoder.decode(data)
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


def _decode(data: bytes) -> _Chunk:
    """Decode a chunk, or of a chunk with an unknown shape only its usage.

    Raises:
        msgspec.DecodeError: it is not JSON.
    """
    try:
        return _decoder.decode(data or b"{}")
    except msgspec.ValidationError:
        pass
    try:
        members = _members_decoder.decode(data)
    except msgspec.ValidationError:
        return _Chunk()
    return _Chunk(usage=members.get("usage", msgspec.Raw()), error=members.get("error", msgspec.Raw()))


def _groq_usage(member: msgspec.Raw) -> msgspec.Raw:
    try:
        return _groq_decoder.decode(member).usage
    except msgspec.DecodeError:
        return msgspec.Raw()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _neutral_failure() -> ProviderFailed:
    return ProviderFailed(502, PROVIDER_STREAM_ERROR)
