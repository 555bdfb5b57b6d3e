"""`/v1/messages`: Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from tollgate_edge.credit.cost_bounds import CONTEXT_TOKENS, Size, prompt_bound
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, ResponseStream, unexpected_response
from tollgate_edge.endpoints.validation.metered_features import RestrictedFields, check_tool, forwarded_headers
from tollgate_edge.endpoints.validation.references import check_messages, unsupported_reference
from tollgate_edge.http.errors import ApiError, ErrorFormat, missing_parameter
from tollgate_edge.http.json_body import ModelName, check_limit, clean_user, decode, replaced, required, unescaped
from tollgate_edge.providers.base import Operation
from tollgate_edge.providers.error_body import stream_failure
from tollgate_edge.providers.translators.anthropic_to_responses import MIN_OUTPUT_TOKENS
from tollgate_edge.streaming.errors import MALFORMED_EVENT
from tollgate_edge.streaming.sse import BLANK_LINE
from tollgate_edge.streaming.typed_stream import TypedEventStream
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import parse_messages_usage
from tollgate_edge.usage.token_counting import count_messages_prompt, count_text

_STORED_REFERENCES = ("container", "diagnostics", "thread")
# docs.anthropic.com/en/api/errors
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Tool(msgspec.Struct):
    type: str | None = None


class _Request(RestrictedFields):
    model: ModelName | None = None
    max_tokens: int | None = None
    messages: list[msgspec.Raw] | None = None
    stream: bool | None = None
    metadata: _Metadata | None = None
    tools: list[_Tool] | None = None
    container: Any = None
    diagnostics: Any = None
    thread: Any = None


class _Message(msgspec.Struct):
    content: list[dict[str, Any]]
    model: str | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


class _Started(msgspec.Struct):
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    message: _Started | None = None
    delta: _Delta | None = None
    usage: msgspec.Raw = msgspec.Raw()


_request_decoder = msgspec.json.Decoder(_Request)
_message_decoder = msgspec.json.Decoder(_Message)
_event_decoder = msgspec.json.Decoder(_Event)


class MessagesRequest(ModelRequest):
    operation = Operation.MESSAGES

    def __init__(self, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        if request.max_tokens is None:
            raise missing_parameter("max_tokens")
        check_limit(request.max_tokens, "max_tokens")
        self._messages = required(request.messages, "messages")
        for tool in request.tools or ():
            check_tool(tool.type or "")
        request.check()
        for name in _STORED_REFERENCES:
            if getattr(request, name) is not None:
                raise unsupported_reference(name)
        check_messages(body, self._messages)
        self.stream = bool(request.stream)
        self.end_user = clean_user(request.metadata.user_id if request.metadata else None)
        self.upstream_body = body
        self.headers = forwarded_headers(headers)
        self._max_tokens = request.max_tokens

    def size(self, context_tokens: int | None) -> Size:
        names = unescaped(b"".join(self._messages))
        # A URL source has "url" twice: as its type and as its field. A document of plain text has no source at all.
        sources = names.count(b'"base64"') + (names.count(b'"url"') + 1) // 2
        has_document = sources > 0 and b'"document"' in names
        prompt = prompt_bound(self.upstream_body, context_tokens, images=sources, has_document=has_document)
        # A translated request may get a longer response than was asked for.
        limit = max(self._max_tokens, MIN_OUTPUT_TOKENS)
        return Size(prompt, 1, limit, context_tokens or max(CONTEXT_TOKENS, limit))

    def limited_body(self, limit_tokens: int) -> bytes:
        return replaced(self.upstream_body, max_tokens=limit_tokens)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            message = _message_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("message") from error
        return self.settled_response(
            parse_messages_usage(message.usage) if message.usage else NOTHING_STATED,
            lambda: sum(count_text(_text_of_block(block)) for block in message.content),
            finish_reason=message.stop_reason or "",
            served_model=message.model or "",
        )

    def count_prompt(self) -> int:
        return count_messages_prompt(msgspec.json.decode(self.upstream_body))

    def open_stream(self) -> ResponseStream:
        return MessagesStream()


_STOP_EVENT = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class MessagesStream(TypedEventStream):
    text_events: ClassVar = frozenset({b"content_block_delta"})

    def finish(self) -> bytes:
        if self.finish_reason and self.usage.is_final and not self.is_over:
            # Nothing that matters is missing, even if the connection broke within the last event.
            self.handle_end()
            return b""
        return super().finish()

    def handle_end(self) -> None:
        if self.finish_reason and self.usage.is_final:
            # Only the event that says so is missing.
            self.done = True
            self.last_event = _STOP_EVENT
        else:
            super().handle_end()

    def handle_event(self, event_type: str, data: bytes) -> bool:
        if event_type == "error":
            self.failure = stream_failure(data)
            return False
        if event_type == "message_stop":
            return True
        if event_type == "content_block_start":
            # It has the name of a tool, and sometimes a text.
            self.add_text(data)
            return False
        if event_type not in {"message_start", "message_delta"}:
            return False
        try:
            event = _event_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail(MALFORMED_EVENT)
            return False
        if event.message is not None:
            self.served_model = event.message.model or self.served_model
            if event.message.usage:
                self.usage.add(parse_messages_usage(event.message.usage))
                # The output of `message_start` is preliminary.
                self.usage.note_text()
        if event.delta is not None:
            self.finish_reason = event.delta.stop_reason or self.finish_reason
        if event.usage:
            self.usage.add(parse_messages_usage(event.usage))
        return False

    def delta_text(self, event: dict[str, Any]) -> str:
        block = event.get("delta") or event.get("content_block")
        return _text_of_block(block) if isinstance(block, dict) else ""

    def truncation_event(self, choices: int) -> bytes:  # noqa: ARG002 - there is always one
        delta = {"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None}}
        return b"event: message_delta\ndata: " + msgspec.json.encode(delta) + BLANK_LINE


def _text_of_block(block: dict[str, Any]) -> str:
    """Return the text of a content block or of a delta: its text, thinking or tool call."""
    parts = [block.get(name) for name in ("text", "thinking", "partial_json")]
    if str(block.get("type")).endswith("tool_use"):
        parts.append(block.get("name"))
        if block.get("input"):
            parts.append(msgspec.json.encode(block["input"]).decode())
    return "".join(part for part in parts if isinstance(part, str))


def error_body(error: ApiError) -> bytes:
    """Encode an error as in docs.anthropic.com/en/api/errors, with `param` and `code` added."""
    kind = _ERROR_TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")  # noqa: PLR2004 - HTTP's
    fields = {"type": kind, "message": str(error), "param": error.param, "code": error.code or None}
    return msgspec.json.encode({"type": "error", "error": fields})


def error_event(error: ApiError) -> bytes:
    return b"event: error\ndata: %b\n\n" % error_body(error)


MESSAGES = Endpoint("/v1/messages", MessagesRequest, ErrorFormat(error_body, error_event))
