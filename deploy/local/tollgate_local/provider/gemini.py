"""`POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent?alt=sse` of Gemini's API.

Source: ai.google.dev/api/generate-content.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tollgate_local.provider.behavior import Behavior, UsageFault, find_behavior
from tollgate_local.provider.decoding import decode
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.generation import Generation, generate
from tollgate_local.provider.http_exchange import HttpExchange
from tollgate_local.provider.models import Model, owned_model
from tollgate_local.provider.prefix_cache import PrefixCache
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.request import (
    ChatRequest,
    Count,
    Function,
    FunctionName,
    ImageUrl,
    JsonSchema,
    Message,
    NamedTool,
    Part,
    ResponseFormat,
    Tool,
)

PREFIX: Final = "/v1beta/models/"
_HUGE_TOKENS: Final = 10**15
_encode: Final = msgspec.json.Encoder().encode
_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Content(msgspec.Struct):
    parts: list[dict[str, Any]]
    role: str = "user"

    def as_message(self, role: str) -> Message:
        parts = [_part(part) for part in self.parts]
        return Message(role=role, content=parts)  # type: ignore[arg-type]


class Declaration(msgspec.Struct, rename="camel"):
    name: str
    parameters_json_schema: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None


class Declarations(msgspec.Struct, rename="camel"):
    function_declarations: list[Declaration]


class Calling(msgspec.Struct, rename="camel"):
    mode: str = "AUTO"
    allowed_function_names: list[str] | None = None


class ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: Calling


class Thinking(msgspec.Struct, rename="camel"):
    thinking_budget: int = -1


class Config(msgspec.Struct, rename="camel"):
    max_output_tokens: Count | None = None
    candidate_count: Count | None = None
    seed: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: Thinking | None = None


class GeminiRequest(msgspec.Struct, rename="camel"):
    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Declarations] | None = None
    tool_config: ToolConfig | None = None
    generation_config: Config | None = None

    def as_chat(self, model: str) -> ChatRequest:
        config = self.generation_config or Config()
        system = [self.system_instruction.as_message("system")] if self.system_instruction else []
        turns = [content.as_message("assistant" if content.role == "model" else "user") for content in self.contents]
        declared = [declaration for tools in self.tools or () for declaration in tools.function_declarations]
        is_json = config.response_mime_type == "application/json"
        schema = JsonSchema("answer", config.response_json_schema) if config.response_json_schema else None
        requested_format = ResponseFormat("json_schema" if schema else "json_object", schema) if is_json else None
        return ChatRequest(
            model=model,
            messages=[*system, *turns],
            max_completion_tokens=config.max_output_tokens,
            n=config.candidate_count,
            seed=config.seed,
            tools=[
                Tool("function", Function(one.name, parameters=one.parameters_json_schema or one.parameters))
                for one in declared
            ],
            tool_choice=self._chosen(),
            response_format=requested_format,
            reasoning_effort="none" if config.thinking_config and not config.thinking_config.thinking_budget else None,
        )

    def _chosen(self) -> Any:
        calling = self.tool_config.function_calling_config if self.tool_config else Calling()
        if calling.mode != "ANY":
            return None
        names = calling.allowed_function_names
        return NamedTool(FunctionName(names[0])) if names else "required"


def _part(part: dict[str, Any]) -> Part:
    if "inlineData" in part or "fileData" in part:
        return Part("image_url", image_url=ImageUrl("data:"))
    return Part("text", text=part.get("text") or _encode(part).decode())


_DECODER: Final = msgspec.json.Decoder(GeminiRequest)


class GeminiEndpoint:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._prefixes = PrefixCache()

    async def __call__(self, exchange: HttpExchange) -> None:
        name, _, method = exchange.path.removeprefix(PREFIX).partition(":")
        if method not in {"generateContent", "streamGenerateContent"}:
            raise ApiError(404, f"Unknown method '{method}'.")
        body = await exchange.body()
        model = owned_model("google", name)
        request = decode(_DECODER, body)
        streaming = method == "streamGenerateContent"
        behavior = find_behavior(body)
        await check_error(exchange, behavior, streaming=streaming)
        chat = request.as_chat(model.id)
        generation = generate(chat, model, self._prefixes, behavior.tokens)
        responses = GeminiResponse(generation, model, behavior)
        rendering = Rendering(
            responses.whole,
            content=responses.content(),
            closing=responses.closing(),
            error_event=lambda error: b"data: %b\r\n\r\n" % error_body(error),
        )
        await deliver(exchange, self._recorder, generation, rendering, behavior, streaming=streaming)


class GeminiResponse:
    """One response, complete or as events. Each event has the shape of a response; the last one has the usage."""

    def __init__(self, generation: Generation, model: Model, behavior: Behavior) -> None:
        self._generation = generation
        self._model = model
        self._usage = _usage(generation, behavior)

    def whole(self) -> bytes:
        return _encode(self._response([self._candidate(index) for index in range(len(self._generation.choices))], True))

    def content(self) -> Iterator[tuple[bytes, int]]:
        for index, choice in enumerate(self._generation.choices):
            if choice.call is not None:
                continue
            for piece in choice.token_texts:
                content = {"role": "model", "parts": [{"text": piece}]}
                yield self._event([{"index": index, "content": content}], with_usage=False), 1

    def closing(self) -> Iterator[bytes]:
        last = []
        for index, choice in enumerate(self._generation.choices):
            if choice.call is not None:
                last.append(self._candidate(index))
            else:
                ended = {"role": "model", "parts": [{"text": ""}]}
                last.append({"index": index, "content": ended, "finishReason": _reason(choice.finish_reason)})
        yield self._event(last, with_usage=True)

    def _event(self, candidates: list[dict[str, Any]], *, with_usage: bool) -> bytes:
        # Google ends lines with CRLF.
        return b"data: %b\r\n\r\n" % _encode(self._response(candidates, with_usage))

    def _response(self, candidates: list[dict[str, Any]], with_usage: bool) -> dict[str, Any]:
        stated = {"usageMetadata": self._usage} if with_usage and self._usage is not None else {}
        named = {"modelVersion": self._model.id, "responseId": self._generation.id}
        return {"candidates": candidates} | stated | named

    def _candidate(self, index: int) -> dict[str, Any]:
        choice = self._generation.choices[index]
        part: dict[str, Any] = {"text": choice.text}
        if choice.call is not None:
            called = msgspec.json.decode(choice.text) if choice.finish_reason != "length" else {}
            part = {"functionCall": {"name": choice.call.name, "args": called}, "thoughtSignature": "c2ln"}
        content = {"role": "model", "parts": [part]}
        return {"index": index, "content": content, "finishReason": _reason(choice.finish_reason)}


def _reason(finish_reason: str) -> str:
    return "MAX_TOKENS" if finish_reason == "length" else "STOP"


def _usage(generation: Generation, behavior: Behavior) -> dict[str, Any] | None:
    if behavior.usage_fault is UsageFault.MISSING:
        return None
    usage = {
        "promptTokenCount": generation.prompt_tokens,
        "cachedContentTokenCount": generation.cached_tokens,
        "candidatesTokenCount": generation.visible_tokens,
        "thoughtsTokenCount": generation.reasoning_tokens,
        "totalTokenCount": generation.prompt_tokens + generation.completion_tokens,
    }
    if behavior.usage_fault is UsageFault.NEGATIVE:
        usage["promptTokenCount"] = -1
    elif behavior.usage_fault is UsageFault.CACHED:
        usage["cachedContentTokenCount"] = usage["promptTokenCount"] + 1
    elif behavior.usage_fault is UsageFault.HUGE:
        usage["candidatesTokenCount"] = _HUGE_TOKENS
    return {name: value for name, value in usage.items() if value}


def error_body(error: ApiError) -> bytes:
    status = _STATUSES.get(error.status, "UNKNOWN")
    return _encode({"error": {"code": error.status, "message": str(error), "status": status}})
