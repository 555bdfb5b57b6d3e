"""The encoding of an error, as data.

A shape maps the path of a member to what it holds: `message`, `type`, `param`, `code` or `status` of the error, or a
constant (`Constant`). A provider's own types and codes are tables by HTTP status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tollgate_local.provider.errors import ApiError

Members = dict[str, Any]
_OPENAI_MEMBERS: Final = ("message", "type", "param", "code")


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The errors of a provider. Calling it returns the HTTP status and the body of an error."""

    members: Members
    types: Mapping[int, str] = field(default_factory=dict)
    codes: Mapping[int, str | int] = field(default_factory=dict)
    other_type: str | None = None
    """The type of a status without a type in `types`; None keeps OpenAI's."""
    is_list: bool = False
    """Whether the body is a list of one error."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """The provider's HTTP status of an error that has another status elsewhere."""
    every_status: int | None = None
    """The HTTP status of every error."""

    def __call__(self, error: ApiError) -> tuple[int, Any]:
        status = self.every_status or self.statuses.get(error.status, error.status)
        values: dict[str, Any] = {
            "message": str(error),
            "type": self.types.get(error.status, self.other_type or error.error_type),
            "param": error.param,
            "code": self.codes.get(error.status, error.code),
            "status": status,
        }
        body: dict[str, Any] = {}
        for path, source in self.members.items():
            *parents, name = path.split(".")
            inner = body
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[name] = source.value if isinstance(source, Constant) else values[source]
        return status, [body] if self.is_list else body


def wrapped(*names: str, **members: str | Constant) -> Members:
    """Return a shape with an `error` object.

    Args:
        names: members that have the name of what they hold.
        members: other members of `error`, by their names.
    """
    return {f"error.{name}": name for name in names} | {f"error.{name}": source for name, source in members.items()}


OPENAI: Final = Errors(members=wrapped(*_OPENAI_MEMBERS))
# learn.microsoft.com/azure/ai-foundry/openai/reference: `code` is a text, for most errors the status.
AZURE: Final = Errors(
    members=wrapped("code", "message"),
    codes={400: "400", 401: "401", 403: "403", 404: "DeploymentNotFound", 429: "429", 500: "InternalServerError"},
)
# packages/xai/src/xai-error.ts of vercel/ai, github.com/chatboxai/chatbox/issues/1622: `error` is a text.
# github.com/continuedev/continue/issues/11412: an invalid key has status 400.
XAI: Final = Errors(
    members={"code": "code", "error": "message"},
    statuses={401: 400},
    codes={
        400: "Client specified an invalid argument",
        401: "Client specified an invalid argument",
        403: "The caller does not have permission to execute the specified operation",
        404: "Some requested entity was not found",
        429: "Some resource has been exhausted",
        500: "Internal error",
        503: "The service is currently unavailable",
    },
)
# platform.kimi.ai/docs/api/errors: no code.
MOONSHOT: Final = Errors(
    members=wrapped("message", "type"),
    types={
        400: "invalid_request_error",
        401: "invalid_authentication_error",
        403: "permission_denied_error",
        404: "resource_not_found_error",
        429: "rate_limit_reached_error",
    },
    other_type="server_error",
)
# api-docs.deepseek.com/quick_start/error_codes
DEEPSEEK: Final = Errors(
    members=wrapped(*_OPENAI_MEMBERS),
    types={400: "invalid_request_error", 401: "authentication_error", 402: "unknown_error"},
    codes=dict.fromkeys((400, 401, 402, 422), "invalid_request_error"),
)
# help.aliyun.com/model-studio/error-code
DASHSCOPE: Final = Errors(
    members=wrapped(*_OPENAI_MEMBERS) | {"request_id": Constant("0f4e3d2c-1b0a-9f8e-7d6c-5b4a39281706")},
    codes={400: "invalid_parameter_error", 401: "invalid_api_key", 404: "model_not_found", 429: "limit_requests"},
)
# docs.z.ai/api-reference/api-code: numbers as texts, no type.
ZHIPU: Final = Errors(
    members=wrapped("code", "message"),
    codes={400: "1210", 401: "1000", 402: "1113", 404: "1211", 429: "1302", 500: "500", 503: "1305"},
)
# platform.minimax.io/docs/api-reference/text-post, `base_resp`: the HTTP status is 200 for every error.
MINIMAX: Final = Errors(
    members={
        "id": Constant("0637e81341eec253ae806406d16766a5"),
        "choices": Constant(None),
        "created": Constant(1_790_000_000),
        "model": Constant(""),
        "object": Constant("chat.completion"),
        "usage.total_tokens": Constant(0),
        "usage.total_characters": Constant(0),
        "input_sensitive": Constant(False),
        "output_sensitive": Constant(False),
        "base_resp.status_code": "code",
        "base_resp.status_msg": "message",
    },
    codes={400: 2013, 401: 1004, 402: 1008, 403: 2044, 429: 1002, 500: 1000, 503: 1001},
    every_status=200,
)
# packages/mistral/src/mistral-error.ts of vercel/ai: no `error` object.
MISTRAL: Final = Errors(
    members={
        "object": Constant("error"),
        "message": "message",
        "type": "type",
        "param": Constant(None),
        "code": "code",
        "raw_status_code": "status",
    },
    types={400: "invalid_request_error", 401: "unauthorized", 403: "tier_not_allowed", 429: "rate_limited"},
    codes={400: "3051", 401: "1000", 403: "1910", 404: "1500", 429: "1300", 500: "3000", 503: "3505"},
)
# console.groq.com/docs/errors
GROQ: Final = Errors(
    members=wrapped("message", "type", "code"),
    types={401: "invalid_request_error", 404: "invalid_request_error", 429: "tokens"},
    codes={401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"},
)
# docs.together.ai/docs/error-codes
TOGETHER: Final = Errors(members={"id": Constant("nsi4v4G-4yUbBN-8f1d")} | wrapped(*_OPENAI_MEMBERS))
# openrouter.ai/docs/api-reference/errors: `code` is the status.
OPENROUTER: Final = Errors(members=wrapped("message", code="status") | {"user_id": Constant("user_simulated")})
# ErrorInfo in vllm/entrypoints/openai/engine/protocol.py: `type` is the name of an exception or of the status.
VLLM: Final = Errors(
    members=wrapped("message", "type", "param", code="status"),
    types={400: "BadRequestError", 404: "NotFoundError"},
    other_type="InternalServerError",
)
# ErrorResponse in python/sglang/srt/entrypoints/openai/protocol.py: no `error` object.
SGLANG: Final = Errors(
    members={
        "object": Constant("error"),
        "message": "message",
        "type": "type",
        "param": Constant(None),
        "code": "status",
    },
    types={400: "BadRequestError", 404: "NotFound"},
    other_type="InternalServerError",
)
# format_error_response in tools/server/server-common.cpp of llama.cpp
LLAMA_CPP: Final = Errors(
    members=wrapped("message", "type", code="status"),
    types={
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        501: "not_supported_error",
        503: "unavailable_error",
    },
    other_type="server_error",
)
# NewError in openai/openai.go of Ollama: `code` is always null.
OLLAMA: Final = Errors(
    members=wrapped("message", "type", param=Constant(None), code=Constant(None)),
    types={400: "invalid_request_error", 404: "not_found_error"},
    other_type="api_error",
)
_GOOGLE_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# packages/google/src/__fixtures__/google-429-retry-info.json of vercel/ai. An invalid key has status 400.
GEMINI: Final = Errors(
    members=wrapped("message", code="status", status="code"), codes=_GOOGLE_STATUSES, statuses={401: 400}
)
# Gemini's OpenAI-compatible endpoint returns the same in a list.
GEMINI_COMPATIBLE: Final = replace(GEMINI, is_list=True)
# docs.anthropic.com/en/api/errors
ANTHROPIC: Final = Errors(
    members={"type": Constant("error")} | wrapped("type", "message") | {"request_id": Constant("req_simulated")},
    types={
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    },
    other_type="api_error",
)
