"""`POST /v1/messages` and `/v1/messages/count_tokens`, as Anthropic has them: docs.anthropic.com/en/api/messages,
.../messages-streaming and .../messages-count-tokens.

The prompt before a `cache_control` mark is written to the cache the first time and read from it afterwards.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tollgate_local.provider.behavior import Behavior, UsageFault, find_behavior
from tollgate_local.provider.decoding import decode
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.generation import Generation, generate
from tollgate_local.provider.http_exchange import HttpExchange
from tollgate_local.provider.models import owned_model
from tollgate_local.provider.prefix_cache import MIN_CACHED_TOKENS, PrefixCache
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.request import (
    CalledFunction,
    ChatRequest,
    Count,
    Function,
    FunctionName,
    ImageUrl,
    MadeCall,
    Message,
    NamedTool,
    Part,
    Tool,
)
from tollgate_local.provider.tokens import message_tokens, preamble_tokens

_encode: Final = msgspec.json.Encoder().encode
_TEMPERATE_VERSION: Final = b"2023-06-01"
_CONTEXT_BETA: Final = b"context-management-2025-06-27"
_HUGE_TOKENS: Final = 10**15
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOP_REASONS: Final = {"length": "max_tokens", "tool_calls": "tool_use"}


class Turn(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]]


class OwnTool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any]


class Choice(msgspec.Struct):
    type: str
    name: str = ""


class OutputFormat(msgspec.Struct):
    type: str
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    format: OutputFormat | None = None


class MessagesRequest(msgspec.Struct, kw_only=True):
    model: str
    max_tokens: Count
    messages: list[Turn]
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    tools: list[OwnTool] | None = None
    tool_choice: Choice | None = None
    output_config: OutputConfig | None = None
    temperature: float | None = None
    context_management: dict[str, Any] | None = None

    def check(self, version: bytes, betas: bytes) -> None:
        """Reject fields that the requested API version or beta flags do not allow."""
        taken = {"temperature": version == _TEMPERATE_VERSION, "context_management": _CONTEXT_BETA in betas}
        for name, is_taken in taken.items():
            if getattr(self, name) is not None and not is_taken:
                raise ApiError(HTTPStatus.BAD_REQUEST, f"{name}: Extra inputs are not permitted")

    def as_chat(self) -> ChatRequest:
        from tollgate_local.provider.request import JsonSchema, ResponseFormat

        messages = [Message(role="system", content=_parts(self.system))] if self.system else []
        for turn in self.messages:
            messages += _messages(turn)
        choice = self.tool_choice
        requested_format = self.output_config.format if self.output_config else None
        return ChatRequest(
            model=self.model,
            messages=messages,
            max_tokens=self.max_tokens,
            tools=[Tool("function", Function(tool.name, parameters=tool.input_schema)) for tool in self.tools or ()],
            tool_choice=_chosen(choice),
            response_format=ResponseFormat("json_schema", JsonSchema("answer", requested_format.schema))
            if requested_format
            else None,
        )


def _chosen(choice: Choice | None) -> Any:
    if choice is None or choice.type in {"auto", "none"}:
        return None
    return NamedTool(FunctionName(choice.name)) if choice.type == "tool" else "required"


def _messages(turn: Turn) -> list[Message]:
    if isinstance(turn.content, str):
        return [Message(role="assistant" if turn.role == "assistant" else "user", content=turn.content)]
    if turn.role == "assistant":
        calls = [
            MadeCall(CalledFunction(block["name"], _encode(block["input"]).decode()), block["id"])
            for block in turn.content
            if block["type"] == "tool_use"
        ]
        return [Message(role="assistant", content=_parts(turn.content) or None, tool_calls=calls or None)]
    results = [
        Message(role="tool", content=_parts(block.get("content") or ""))
        for block in turn.content
        if block["type"] == "tool_result"
    ]
    parts = _parts(turn.content)
    return [*results, Message(role="user", content=parts)] if parts else [*results]


def _parts(content: str | list[dict[str, Any]]) -> list[Part]:
    if isinstance(content, str):
        return [Part("text", text=content)]
    parts = [Part("text", text=block["text"]) for block in content if block["type"] == "text"]
    return parts + [
        Part("image_url", image_url=ImageUrl("data:")) for block in content if block["type"] in {"image", "document"}
    ]


class CountRequest(MessagesRequest, kw_only=True):
    max_tokens: Count = 1


_DECODER: Final = msgspec.json.Decoder(MessagesRequest)
_COUNT_DECODER: Final = msgspec.json.Decoder(CountRequest)


class MessagesEndpoint:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._prefixes = PrefixCache()

    async def __call__(self, exchange: HttpExchange) -> None:
        body = await exchange.body()
        request = decode(_DECODER, body)
        request.check(exchange.header(b"anthropic-version"), exchange.header(b"anthropic-beta"))
        model = owned_model("anthropic", request.model)
        streaming = bool(request.stream)
        behavior = find_behavior(body)
        await check_error(exchange, behavior, streaming=streaming)
        generation = generate(request.as_chat(), model, self._prefixes, behavior.tokens)
        usage = _usage(generation, behavior, is_marked=b'"cache_control"' in body)
        rendering = Rendering(
            lambda: _encode(_message(generation, usage)),
            _opening(generation, usage),
            _content(generation),
            _closing(generation, usage),
            _event({"type": "message_stop"}),
            error_event=lambda error: b"event: error\ndata: %b\n\n" % error_body(error),
        )
        await deliver(exchange, self._recorder, generation, rendering, behavior, streaming=streaming)


async def count(exchange: HttpExchange) -> None:
    request = decode(_COUNT_DECODER, await exchange.body())
    owned_model("anthropic", request.model)
    chat = request.as_chat()
    tokens = preamble_tokens(chat) + sum(map(message_tokens, chat.messages))
    await exchange.answer(200, _encode({"input_tokens": tokens}))


def _usage(generation: Generation, behavior: Behavior, *, is_marked: bool) -> dict[str, int] | None:
    if behavior.usage_fault is UsageFault.MISSING:
        return None
    prompt, read, written = generation.prompt_tokens, 0, 0
    if is_marked and prompt >= MIN_CACHED_TOKENS:
        read, written = (prompt, 0) if generation.cached_tokens else (0, prompt)
    usage = {
        "input_tokens": prompt - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": generation.visible_tokens,
    }
    if behavior.usage_fault is UsageFault.NEGATIVE:
        usage["input_tokens"] = -1
    elif behavior.usage_fault is UsageFault.HUGE:
        usage["output_tokens"] = _HUGE_TOKENS
    return usage


def _head(generation: Generation) -> dict[str, Any]:
    return {
        "id": generation.id.replace("chatcmpl-", "msg_"),
        "type": "message",
        "role": "assistant",
        "model": generation.model,
    }


def _message(generation: Generation, usage: dict[str, int] | None) -> dict[str, Any]:
    choice = generation.choices[0]
    if choice.call is None:
        block: dict[str, Any] = {"type": "text", "text": choice.text}
    else:
        called = msgspec.json.decode(choice.text) if choice.finish_reason != "length" else {}
        block = {"type": "tool_use", "id": choice.call.id, "name": choice.call.name, "input": called}
    stated = {"content": [block], "stop_reason": _stop_reason(generation), "stop_sequence": None}
    return _head(generation) | stated | ({} if usage is None else {"usage": usage})


def _stop_reason(generation: Generation) -> str:
    choice = generation.choices[0]
    reason = "tool_calls" if choice.call is not None and choice.finish_reason == "stop" else choice.finish_reason
    return _STOP_REASONS.get(reason, "end_turn")


def _opening(generation: Generation, usage: dict[str, int] | None) -> Iterator[bytes]:
    stated = {} if usage is None else {"usage": usage | {"output_tokens": 1}}
    started = _head(generation) | {"content": [], "stop_reason": None, "stop_sequence": None} | stated
    yield _event({"type": "message_start", "message": started})
    call = generation.choices[0].call
    block: dict[str, Any] = {"type": "text", "text": ""}
    if call is not None:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block})
    yield _event({"type": "ping"})


def _content(generation: Generation) -> Iterator[tuple[bytes, int]]:
    choice = generation.choices[0]
    for number, piece in enumerate(choice.token_texts):
        delta = {"type": "text_delta", "text": piece}
        if choice.call is not None:
            delta = {"type": "input_json_delta", "partial_json": piece}
        head = choice.call.tokens if choice.call is not None and number == 0 else 0
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}), 1 + head


def _closing(generation: Generation, usage: dict[str, int] | None) -> Iterator[bytes]:
    yield _event({"type": "content_block_stop", "index": 0})
    delta = {"stop_reason": _stop_reason(generation), "stop_sequence": None}
    stated = {} if usage is None else {"usage": {"output_tokens": usage["output_tokens"]}}
    yield _event({"type": "message_delta", "delta": delta} | stated)


def _event(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


def error_body(error: ApiError) -> bytes:
    kind = _ERROR_TYPES.get(error.status, "api_error")
    return _encode({"type": "error", "error": {"type": kind, "message": str(error)}, "request_id": "req_simulated"})
