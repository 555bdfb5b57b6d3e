"""`/v1/responses`: OpenAI's Responses API, for providers that have it.

The endpoint rejects requests that it cannot meter. A background response reports its usage to nobody. OpenAI's hosted
tools have fees that the usage does not state, or add unbounded input. Responses are not stored at the provider, so a
request cannot refer to an earlier one: see `references`.
"""

from typing import Any, ClassVar

import msgspec

from tollgate_edge.credit.cost_bounds import CONTEXT_TOKENS, Size, prompt_bound
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, ResponseStream, unexpected_response
from tollgate_edge.endpoints.validation.prompt_cache import check_prompt_cache
from tollgate_edge.endpoints.validation.references import check_input, unsupported_reference
from tollgate_edge.http.costly_members import CostlyMembers
from tollgate_edge.http.errors import OPENAI_ERROR_FORMAT, ApiError, ErrorFormat, unsupported_value
from tollgate_edge.http.json_body import (
    ModelName,
    check_limit,
    check_service_tier,
    clean_user,
    decode,
    replaced,
    required,
    unescaped,
)
from tollgate_edge.providers.base import Operation
from tollgate_edge.providers.error_body import stream_failure
from tollgate_edge.streaming.delivered_text import decode_leniently
from tollgate_edge.streaming.errors import MALFORMED_EVENT
from tollgate_edge.streaming.sse import BLANK_LINE
from tollgate_edge.streaming.typed_stream import TypedEventStream
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import is_present, parse_usage
from tollgate_edge.usage.token_counting import count_input, count_turns

# Tools that the client executes. The list is closed, because a new tool may have a fee.
_CLIENT_TOOLS = frozenset(
    {
        "apply_patch",
        "computer",
        "computer_use_preview",
        "custom",
        "function",
        "local_shell",
        "namespace",
        "shell",
    }
)
_STORED_REFERENCES = ("previous_response_id", "conversation", "prompt")
_STORE_HINT = (
    ". If your SDK sends item references, set `store: false` (in Vercel's AI SDK: "
    "`providerOptions.openai.store: false`)"
)
_EMPTY = (b"[]", b'""')
# The events with a whole response. All but the first end the stream.
_RESPONSE_EVENTS = frozenset(
    {"response.created", "response.completed", "response.incomplete", "response.cancelled", "response.failed"}
)
_DOCUMENTS = (b'"file_data"', b'"file_url"')


class _Environment(msgspec.Struct):
    type: str = "local"


class _Tool(msgspec.Struct):
    type: str = ""
    environment: _Environment | None = None
    execution: str | None = None
    tools: list["_Tool"] | None = None

    @property
    def is_client_side(self) -> bool:
        if self.type == "tool_search":
            return self.execution == "client"
        if not all(tool.is_client_side for tool in self.tools or ()):
            return False
        where = self.environment.type if self.environment else "local"
        return self.type in _CLIENT_TOOLS and where == "local"


class _Item(msgspec.Struct):
    type: str | None = None
    role: str | None = None
    content: msgspec.Raw = msgspec.Raw()
    encrypted_content: msgspec.Raw = msgspec.Raw()

    @property
    def is_reference(self) -> bool:
        """Whether the item has only an id, and perhaps a type."""
        return self.type == "item_reference" or (self.type is None and self.role is None)

    @property
    def is_unstored_reasoning(self) -> bool:
        """Whether the item is reasoning without content, which the provider would have to look up."""
        return self.type == "reasoning" and not _holds(self.encrypted_content) and not _holds(self.content)


class _Items(msgspec.Struct):
    input: str | list[_Item] | None = None


class _Request(CostlyMembers):
    model: ModelName | None = None
    input: msgspec.Raw = msgspec.Raw()
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    tools: list[_Tool] | None = None
    max_output_tokens: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    service_tier: str | None = None


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    status: str | None = None
    model: str | None = None
    output: list[dict[str, Any]] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    incomplete_details: _Reason | None = None

    @property
    def finish_reason(self) -> str:
        details = self.incomplete_details
        return (details.reason if details else None) or self.status or ""


class _Event(msgspec.Struct):
    response: _Response | None = None


_request_decoder = msgspec.json.Decoder(_Request)
_items_decoder = msgspec.json.Decoder(_Items)
_response_decoder = msgspec.json.Decoder(_Response)
_event_decoder = msgspec.json.Decoder(_Event)


class ResponsesRequest(ModelRequest):
    operation = Operation.RESPONSES

    def __init__(self, body: bytes) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        if request.background:
            raise unsupported_value("background", "the usage of background responses cannot be metered here")
        for tool in request.tools or ():
            if not tool.is_client_side:
                raise unsupported_value("tools", f"the cost of {tool.type} cannot be metered here")
        request.check_costly_members()
        check_service_tier(request.service_tier)
        check_limit(request.max_output_tokens, "max_output_tokens")
        check_prompt_cache(body)
        self.stream = bool(request.stream)
        self.end_user = clean_user(request.safety_identifier or request.user)
        _check_references(body, request)
        self.upstream_body = body if request.store is False else _without_store(body, request)
        self._request = request

    def size(self, context_tokens: int | None) -> Size:
        names = unescaped(self.upstream_body)
        has_document = any(name in names for name in _DOCUMENTS)
        images = names.count(b'"image_url"')
        prompt = prompt_bound(self.upstream_body, context_tokens, images=images, has_document=has_document)
        return Size(prompt, 1, self._request.max_output_tokens, context_tokens or CONTEXT_TOKENS)

    def limited_body(self, limit_tokens: int) -> bytes:
        return replaced(self.upstream_body, max_output_tokens=limit_tokens)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            response = _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("response") from error
        if response.output is None:
            raise unexpected_response("response")
        output = response.output
        return self.settled_response(
            parse_usage(response.usage) if response.usage else NOTHING_STATED,
            lambda: count_input(output),
            finish_reason=response.finish_reason,
            served_model=response.model or "",
        )

    def count_prompt(self) -> int:
        body = msgspec.json.decode(self.upstream_body)
        given = body.get("input") or []
        schemas = (body.get("tools"), (body.get("text") or {}).get("format"))
        return count_turns([given] if isinstance(given, str) else given, body.get("instructions"), schemas=schemas)

    def open_stream(self) -> ResponseStream:
        return ResponsesStream()


def _check_references(body: bytes, request: _Request) -> None:
    """Reject references to objects that are stored at the provider.

    Raises:
        ApiError: 400.
    """
    for name in _STORED_REFERENCES:
        if getattr(request, name) is not None:
            raise unsupported_reference(name)
    if any(item.is_reference for item in _items(body)):
        raise unsupported_reference("input", _STORE_HINT)
    check_input(body, request.input)


def _items(body: bytes) -> list[_Item]:
    items = decode(_items_decoder, body).input
    return items if isinstance(items, list) else []


def _without_store(body: bytes, request: _Request) -> bytes:
    """Return the body with `store: false` and without reasoning items that have no content.

    A client that expects stored responses sends their items back as it received them. OpenAI rejects a whole request
    whose reasoning items it cannot look up.
    """
    items = _items(body)
    if not any(item.is_unstored_reasoning for item in items):
        return replaced(body, store=False)
    given = msgspec.json.decode(request.input, type=list[msgspec.Raw])
    kept = [raw for raw, item in zip(given, items, strict=True) if not item.is_unstored_reasoning]
    return replaced(body, store=False, input=kept)


def _holds(member: msgspec.Raw) -> bool:
    return is_present(member) and bytes(member) not in _EMPTY


class ResponsesStream(TypedEventStream):
    text_events: ClassVar = frozenset(
        {
            b"response.output_text.delta",
            b"response.refusal.delta",
            b"response.function_call_arguments.delta",
            b"response.custom_tool_call_input.delta",
            b"response.reasoning_text.delta",
            b"response.reasoning_summary_text.delta",
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self._response = b"{}"
        # Whole items, for a provider that sends no deltas.
        self._items: list[bytes] = []

    def handle_event(self, event_type: str, data: bytes) -> bool:
        if event_type == "error":
            self.failure = stream_failure(data)
            return False
        if event_type not in _RESPONSE_EVENTS:
            if event_type.endswith(".delta"):
                self.add_text(data)
            elif event_type == "response.output_item.done":
                self._items.append(data)
            return False
        try:
            response = _event_decoder.decode(data).response or _Response()
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail(MALFORMED_EVENT)
            return False
        self.served_model = response.model or self.served_model
        if response.usage:
            self.usage.add(parse_usage(response.usage))
        if event_type == "response.failed":
            self.failure = stream_failure(data)
            return False
        if event_type == "response.created":
            self._response = data
            return False
        self.finish_reason = response.finish_reason
        if response.output and not self._items:
            self._items.append(data)
        return True

    def delivered_tokens(self) -> int:
        return max(super().delivered_tokens(), count_input([_output_of(data) for data in self._items]))

    def delta_text(self, event: dict[str, Any]) -> str:
        delta = event.get("delta")
        return delta if isinstance(delta, str) else ""

    def truncation_event(self, choices: int) -> bytes:  # noqa: ARG002 - there is always one
        response = msgspec.json.decode(self._response).get("response", {})
        response |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        event = {"type": "response.incomplete", "response": response}
        return b"event: response.incomplete\ndata: " + msgspec.json.encode(event) + BLANK_LINE


def _output_of(data: bytes) -> Any:
    """Return the item of an event, or all items of its response; None if it cannot be parsed."""
    event = decode_leniently(data)
    if not isinstance(event, dict):
        return None
    response = event.get("response")
    return response.get("output") if isinstance(response, dict) else event.get("item")


def _error_event(error: ApiError) -> bytes:
    """Encode an error for clients of both kinds: `type` is for Responses, `error` for any other stream."""
    event = {"type": "error", "code": error.code or None, "message": str(error), "param": None}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(event | msgspec.json.decode(error.body()))


RESPONSES = Endpoint(
    "/v1/responses", lambda body, _headers: ResponsesRequest(body), ErrorFormat(OPENAI_ERROR_FORMAT.body, _error_event)
)
