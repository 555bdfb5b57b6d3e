"""Chat completion requests: OpenAI's fields with OpenAI's validation."""

from typing import Annotated, Any, Final, Literal

import msgspec

from tollgate_local.provider.decoding import decode
from tollgate_local.provider.errors import ApiError, invalid_value
from tollgate_local.provider.models import Model, chat_model

Count = Annotated[int, msgspec.Meta(ge=1)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ImageUrl(msgspec.Struct):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class Part(msgspec.Struct):
    type: Literal["text", "image_url", "refusal"]
    text: str = ""
    refusal: str = ""
    image_url: ImageUrl | None = None


class CalledFunction(msgspec.Struct):
    name: str
    arguments: str = ""


class MadeCall(msgspec.Struct):
    function: CalledFunction
    id: str = ""


class Message(msgspec.Struct, omit_defaults=True):
    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[MadeCall] | None = None


class Function(msgspec.Struct, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    type: Literal["function"]
    function: Function


class FunctionName(msgspec.Struct):
    name: str


class NamedTool(msgspec.Struct):
    function: FunctionName


class JsonSchema(msgspec.Struct):
    name: str
    schema: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    seed: int | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    metadata: dict[str, str] | None = None

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def simulate(self) -> str:
        return (self.metadata or {}).get("simulate", "")

    def called_tool(self) -> Function | None:
        """Return the function that the request forces the model to call; None if it forces none."""
        if isinstance(self.tool_choice, NamedTool):
            return self._tool_named(self.tool_choice.function.name)
        if self.tool_choice == "required":
            return (self.tools or [])[0].function
        return None

    def _tool_named(self, name: str) -> Function:
        for tool in self.tools or []:
            if tool.function.name == name:
                return tool.function
        raise invalid_value("tool_choice", f"Tool choice '{name}' not found in 'tools' parameter.")


_DECODER: Final = msgspec.json.Decoder(ChatRequest)


def parse_chat(body: bytes) -> tuple[ChatRequest, Model]:
    """Return the request and its model; raise `ApiError` if OpenAI would reject the request."""
    request = decode(_DECODER, body)
    model = chat_model(request.model)
    _check_limits(request, model)
    if request.stream_options is not None and not request.stream:
        raise invalid_value(
            "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        )
    if request.tool_choice not in (None, "none") and not request.tools:
        raise invalid_value("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.")
    return request, model


def _check_limits(request: ChatRequest, model: Model) -> None:
    if request.max_tokens is None:
        return
    if model.reasons:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise invalid_value("max_tokens", message, "unsupported_parameter")
    if request.max_completion_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise ApiError(400, message, param="max_tokens", code="invalid_parameter_combination")
