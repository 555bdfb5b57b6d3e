"""`POST /v1/responses`: OpenAI's Responses API, with the events of a stream in their order.

Source: platform.openai.com/docs/api-reference/responses and .../responses-streaming.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tollgate_local.provider.behavior import Behavior, find_behavior
from tollgate_local.provider.decoding import decode
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.generation import Choice, Generation, generate
from tollgate_local.provider.http_exchange import HttpExchange
from tollgate_local.provider.models import chat_model
from tollgate_local.provider.prefix_cache import PrefixCache
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.request import ChatRequest, Count, Effort, Function, FunctionName, Message, NamedTool, Tool
from tollgate_local.provider.usage import Usage, build_usage

_encode: Final = msgspec.json.Encoder().encode


class Reasoning(msgspec.Struct):
    effort: Effort | None = None


class FlatTool(msgspec.Struct):
    type: str
    name: str = ""
    parameters: dict[str, Any] | None = None


class FlatChoice(msgspec.Struct):
    type: str
    name: str = ""


class ResponseRequest(msgspec.Struct):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Count | None = None
    reasoning: Reasoning | None = None
    tools: list[FlatTool] | None = None
    tool_choice: str | FlatChoice | None = None
    store: bool | None = None

    def check_items(self) -> None:
        """Reject reasoning items without content, because the simulator stores no items."""
        items = [] if isinstance(self.input, str) or self.store is not False else self.input
        for item in items:
            if item.get("type") == "reasoning" and not item.get("encrypted_content"):
                message = (
                    f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. "
                    "Try again with `store` set to true, or remove this item from your input."
                )
                raise ApiError(404, message, param="input")

    def as_chat(self) -> ChatRequest:
        messages = [Message(role="system", content=self.instructions)] if self.instructions else []
        items = [{"role": "user", "content": self.input}] if isinstance(self.input, str) else self.input
        messages += [_message(item) for item in items]
        choice = self.tool_choice
        named = NamedTool(FunctionName(choice.name)) if isinstance(choice, FlatChoice) else None
        return ChatRequest(
            model=self.model,
            messages=messages,
            max_completion_tokens=self.max_output_tokens,
            reasoning_effort=self.reasoning.effort if self.reasoning else None,
            tools=[Tool("function", Function(tool.name, parameters=tool.parameters)) for tool in self.tools or ()],
            tool_choice=named or ("required" if choice == "required" else None),
        )


def _message(item: dict[str, Any]) -> Message:
    content = item.get("content") or item.get("output") or item.get("arguments") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    return Message(role=item.get("role", "user"), content=content)


_DECODER: Final = msgspec.json.Decoder(ResponseRequest)


class ResponseEndpoint:
    def __init__(self, recorder: Recorder, prefixes: PrefixCache) -> None:
        self._recorder = recorder
        self._prefixes = prefixes

    async def __call__(self, exchange: HttpExchange) -> None:
        body = await exchange.body()
        request = decode(_DECODER, body)
        model = chat_model(request.model)
        request.check_items()
        streaming = bool(request.stream)
        behavior = find_behavior(body)
        await check_error(exchange, behavior, streaming=streaming)
        generation = generate(request.as_chat(), model, self._prefixes, behavior.tokens)
        events = ResponseEvents(generation, behavior)
        rendering = Rendering(
            lambda: _encode(events.response(is_done=True)),
            events.opening(),
            events.content(),
            events.closing(),
            events.last(),
            error_event=_error_event,
        )
        await deliver(exchange, self._recorder, generation, rendering, behavior, streaming=streaming)


class ResponseEvents:
    """The parts of one response: a message or one function call."""

    def __init__(self, generation: Generation, behavior: Behavior) -> None:
        self._generation = generation
        self._choice: Choice = generation.choices[0]
        self._usage = build_usage(generation, behavior.usage_fault)
        self._number = 0
        self._id = generation.id.replace("chatcmpl-", "resp_")
        self._item_id = generation.id.replace("chatcmpl-", "msg_")

    def response(self, *, is_done: bool) -> dict[str, Any]:
        is_cut = self._choice.finish_reason == "length"
        response: dict[str, Any] = {
            "id": self._id,
            "object": "response",
            "created_at": self._generation.created,
            "status": ("incomplete" if is_cut else "completed") if is_done else "in_progress",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_done and is_cut else None,
            "model": self._generation.model,
            "output": [self._item(is_done=True)] if is_done else [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": _usage(self._usage) if is_done and self._usage is not None else None,
        }
        return response

    def opening(self) -> Iterator[bytes]:
        yield self._event("response.created", response=self.response(is_done=False))
        yield self._event("response.in_progress", response=self.response(is_done=False))
        yield self._event("response.output_item.added", output_index=0, item=self._item(is_done=False))
        if self._choice.call is None:
            yield self._event("response.content_part.added", **self._place(), part=_part(""))

    def content(self) -> Iterator[tuple[bytes, int]]:
        call = self._choice.call
        for number, piece in enumerate(self._choice.token_texts):
            if call is None:
                yield self._event("response.output_text.delta", **self._place(), delta=piece, logprobs=[]), 1
            else:
                place = {"item_id": self._item_id, "output_index": 0}
                head = call.tokens if number == 0 else 0
                yield self._event("response.function_call_arguments.delta", **place, delta=piece), 1 + head

    def closing(self) -> Iterator[bytes]:
        text = self._choice.text
        if self._choice.call is None:
            yield self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
            yield self._event("response.content_part.done", **self._place(), part=_part(text))
        else:
            place = {"item_id": self._item_id, "output_index": 0}
            yield self._event("response.function_call_arguments.done", **place, arguments=text)
        yield self._event("response.output_item.done", output_index=0, item=self._item(is_done=True))

    def last(self) -> bytes:
        kind = "response.incomplete" if self._choice.finish_reason == "length" else "response.completed"
        return self._event(kind, response=self.response(is_done=True))

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0}

    def _item(self, *, is_done: bool) -> dict[str, Any]:
        status = "completed" if is_done else "in_progress"
        text = self._choice.text if is_done else ""
        call = self._choice.call
        if call is not None:
            item: dict[str, Any] = {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": text}
        else:
            item = {"type": "message", "role": "assistant", "content": [_part(text)] if is_done else []}
        return {"id": self._item_id, "status": status, **item}

    def _event(self, kind: str, **fields: Any) -> bytes:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(event))


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.prompt_tokens_details.cached_tokens,
            "cache_write_tokens": usage.prompt_tokens_details.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.completion_tokens_details.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _error_event(error: ApiError) -> bytes:
    event = {"type": "error", "code": "server_error", "message": str(error), "param": None, "sequence_number": 0}
    return b"event: error\ndata: %b\n\n" % _encode(event)
