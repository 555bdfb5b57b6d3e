"""The parser of a provider's errors, in the shapes that providers use.

A client decides by the provider's words: an agent shortens its context after `context_length_exceeded`, and waits
after a rate limit. Every protocol therefore uses this parser. It reads:

| shape | providers |
|---|---|
| `{"error": {"message", "type", "param", "code"}}` | OpenAI, and vLLM with a number as `code` |
| `{"type": "error", "error": {"type", "message"}}` | Anthropic; MiniMax adds `http_code` |
| `[{"error": {"code", "message", "status"}}]` | Gemini |
| `{"error": {"code", "message", "metadata": {"raw"}}}`, also with status 200 | OpenRouter |
| `{"object": "error", "message", "type", "code"}` | older vLLM, Mistral |
| `{"error": "text"}`, with `code` or `error_type` beside it | Ollama, xAI, Text Generation Inference |
| `{"error": {"message": {…}}}`, `{"message": {"detail": […]}}` | Mistral |
| `{"message"}`, `{"code", "message", "request_id"}` | Cohere, Bedrock, DashScope |
| `{"detail": "text"}`, `{"detail": [{"loc", "msg"}]}` | FastAPI |
| `{"title", "detail", "status"}` | RFC 9457 |
| `{"errors": [{"code", "message"}]}` | Cloudflare |
| `{"base_resp": {"status_code", "status_msg"}}` with status 200 | MiniMax |
| `{"code", "msg", "success": false}` with status 200 | Z.ai |
| plain text | proxies |

Sources: platform.openai.com/docs/guides/error-codes, docs.anthropic.com/en/api/errors, openrouter.ai/docs/api/errors,
ai.google.dev/gemini-api/docs/troubleshooting, platform.minimax.io/docs/api-reference/errorcode,
docs.z.ai/api-reference/api-code, alibabacloud.com/help/en/model-studio/error-code, developers.cloudflare.com/api.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from tollgate_edge.http.errors import OVERLOADED, ProviderFailed
from tollgate_edge.streaming.errors import PROVIDER_STREAM_ERROR
from tollgate_edge.streaming.sse import event_data, event_name, valid_unicode

# A provider's text is forwarded up to these lengths. Longer plain texts are pages or stack traces.
_MAX_MESSAGE_CHARS = 4_000
_MAX_PLAIN_CHARS = 500
_MAX_DEPTH = 6
_MAX_LIST_ITEMS = 3
# Members in the order in which they are preferred.
_CONTAINERS = ("error", "errors", "Error", "base_resp", "response")
_MESSAGES = (
    "message",
    "msg",
    "detail",
    "error_message",
    "error_msg",
    "status_msg",
    "error_description",
    "Message",
    "title",
)
_CODES = ("code", "error_code", "status_code", "Code")
_TYPES = ("type", "error_type", "__type")
_STATUSES = ("http_code", "status_code", "statusCode", "status", "code")
# The `type` of the outermost object says only that it is an error.
_MARKERS = frozenset({"error", "response.failed"})
# Members that hold a result. A body with one of them is not an error, whatever else it says.
_RESULTS = ("choices", "output", "content", "candidates", "data", "results", "embeddings", "predictions")

# platform.minimax.io/docs/api-reference/errorcode
_MINIMAX_STATUSES = {
    1000: HTTPStatus.INTERNAL_SERVER_ERROR,
    1001: HTTPStatus.GATEWAY_TIMEOUT,
    1002: HTTPStatus.TOO_MANY_REQUESTS,
    1004: HTTPStatus.UNAUTHORIZED,
    1008: HTTPStatus.PAYMENT_REQUIRED,
    1013: HTTPStatus.INTERNAL_SERVER_ERROR,
    1024: HTTPStatus.INTERNAL_SERVER_ERROR,
    1026: HTTPStatus.BAD_REQUEST,
    1027: HTTPStatus.BAD_REQUEST,
    1033: HTTPStatus.INTERNAL_SERVER_ERROR,
    1039: HTTPStatus.BAD_REQUEST,
    1041: HTTPStatus.TOO_MANY_REQUESTS,
    2013: HTTPStatus.BAD_REQUEST,
    2045: HTTPStatus.TOO_MANY_REQUESTS,
    2049: HTTPStatus.UNAUTHORIZED,
    2056: HTTPStatus.TOO_MANY_REQUESTS,
}
# Statuses of errors that come with status 200, by a part of their code or type. The first match counts.
_NAMED_STATUSES = (
    ("context_length", HTTPStatus.BAD_REQUEST),
    ("overloaded", OVERLOADED),
    ("insufficient_quota", HTTPStatus.PAYMENT_REQUIRED),
    ("insufficient_balance", HTTPStatus.PAYMENT_REQUIRED),
    ("billing", HTTPStatus.PAYMENT_REQUIRED),
    ("arrear", HTTPStatus.PAYMENT_REQUIRED),
    ("rate_limit", HTTPStatus.TOO_MANY_REQUESTS),
    ("ratelimit", HTTPStatus.TOO_MANY_REQUESTS),
    ("too_many_requests", HTTPStatus.TOO_MANY_REQUESTS),
    ("throttl", HTTPStatus.TOO_MANY_REQUESTS),
    ("resource_exhausted", HTTPStatus.TOO_MANY_REQUESTS),
    ("quota", HTTPStatus.TOO_MANY_REQUESTS),
    ("timeout", HTTPStatus.GATEWAY_TIMEOUT),
    ("deadline_exceeded", HTTPStatus.GATEWAY_TIMEOUT),
    ("unavailable", HTTPStatus.SERVICE_UNAVAILABLE),
    ("authentication", HTTPStatus.UNAUTHORIZED),
    ("unauthenticated", HTTPStatus.UNAUTHORIZED),
    ("unauthorized", HTTPStatus.UNAUTHORIZED),
    ("api_key", HTTPStatus.UNAUTHORIZED),
    ("permission", HTTPStatus.FORBIDDEN),
    ("forbidden", HTTPStatus.FORBIDDEN),
    ("not_found", HTTPStatus.NOT_FOUND),
    ("too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ("invalid", HTTPStatus.BAD_REQUEST),
    ("bad_request", HTTPStatus.BAD_REQUEST),
    ("badrequest", HTTPStatus.BAD_REQUEST),
    ("validation", HTTPStatus.BAD_REQUEST),
    ("content_", HTTPStatus.BAD_REQUEST),
    ("failed_precondition", HTTPStatus.BAD_REQUEST),
    ("internal", HTTPStatus.INTERNAL_SERVER_ERROR),
    ("server_error", HTTPStatus.INTERNAL_SERVER_ERROR),
    ("api_error", HTTPStatus.INTERNAL_SERVER_ERROR),
)
# Codes that concern only the operator's account, whatever the status: OpenAI's, DashScope's and Zhipu's.
_OPERATORS_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "account_deactivated",
        "invalid_api_key",
        "invalidapikey",
        "arrearage",
        "1110",
        "1111",
        "1112",
        "1113",
        "1121",
    }
)
# These concern only the operator and the provider. Forwarded, they would tell a customer that the customer's own key is
# invalid or that the customer's own credit is used up.
OPERATOR_STATUSES = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
OPERATOR_MESSAGE = "The provider did not accept this gateway's credentials or account."

_decoder = msgspec.json.Decoder()


class ErrorDetails(NamedTuple):
    """What a provider says about an error. A text is empty, and a status None, if the provider does not state it."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str | None = None
    status: int | None = None

    @property
    def implied_status(self) -> int:
        """The HTTP status of an error that came with status 200: as stated, else by its names, else 502."""
        if self.status is not None:
            return self.status
        for name in (self.code, self.type):
            plain = name.lower().replace("-", "_").replace(" ", "_")
            for part, status in _NAMED_STATUSES:
                if part in plain:
                    return status
        return HTTPStatus.BAD_GATEWAY

    @property
    def is_operators(self) -> bool:
        """Whether the error concerns only the operator's account at the provider."""
        return self.status in OPERATOR_STATUSES or self.code.lower() in _OPERATORS_CODES


def parse_error_body(body: bytes) -> ErrorDetails:
    """Parse an error body: JSON of any known shape, an event of a stream, or a short text. Never raises."""
    stripped = body.strip()
    if stripped.startswith((b"data:", b"event:", b"id:", b":")):
        stripped = event_data(stripped)
    value = _decode(stripped)
    return ErrorDetails(message=_plain_text(stripped)) if value is None else parse_error_object(value)


def parse_error_object(value: Any) -> ErrorDetails:
    """Parse a decoded error: the value of `error`, or the object around it."""
    return _parse(value, 0)


def find_error(body: bytes) -> ErrorDetails | None:
    """Return the error in a body that came with status 200; None if it is a response."""
    value = _decode(body)
    if isinstance(value, list):
        value = value[0] if value else None
    return parse_error_object(value) if isinstance(value, dict) and _is_error(value) else None


def find_event_error(event: bytes) -> ErrorDetails | None:
    """Return the error that an event of a stream reports; None if it reports none."""
    value = _decode(event_data(event))
    if not isinstance(value, dict):
        return None
    is_error = event_name(event) == b"error" or bool(value.get("error")) or _is_error(value)
    return parse_error_object(value) if is_error else None


def stream_failure(data: bytes) -> ProviderFailed:
    """Return the client's error for an error event in the middle of a stream, with the provider's words.

    Args:
        data: the event's data, such as `{"error": {…}}` or `{"type": "response.failed", "response": {…}}`.
    """
    details = parse_error_body(data)
    if details.is_operators or details.implied_status in OPERATOR_STATUSES:
        return ProviderFailed(HTTPStatus.BAD_GATEWAY, OPERATOR_MESSAGE)
    message = details.message or PROVIDER_STREAM_ERROR
    return ProviderFailed(HTTPStatus.BAD_GATEWAY, message, code=details.code or "provider_error")


def _decode(body: bytes) -> Any:
    try:
        return _decoder.decode(valid_unicode(body))
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_error(body: Mapping[str, Any]) -> bool:
    if body.get("type") in _MARKERS or body.get("object") == "error":
        return True
    # The `text` of a transcription is one; that of OpenAI's Responses is a setting.
    if any(body.get(name) for name in _RESULTS) or isinstance(body.get("text"), str):
        return False
    base = body.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return True
    has_words = any(isinstance(body.get(name), str) and body[name] for name in ("message", "msg"))
    is_success = body.get("success") is not False and not (has_words and body.get("code"))
    return bool(body.get("error") or body.get("errors")) or not is_success


def _parse(value: Any, depth: int) -> ErrorDetails:
    if depth > _MAX_DEPTH:
        return ErrorDetails()
    if isinstance(value, dict):
        return _parse_object(value, depth)
    if isinstance(value, list):
        return _parse_list(value, depth)
    if not isinstance(value, str):
        return ErrorDetails()
    # Some gateways forward the body of the provider behind them as a text.
    inner = _decode(value.encode("utf-8", "replace")) if value.lstrip().startswith(("{", "[")) else None
    details = ErrorDetails() if inner is None else _parse(inner, depth + 1)
    return details if details.message else ErrorDetails(message=value.strip()[:_MAX_MESSAGE_CHARS])


def _parse_list(values: list[Any], depth: int) -> ErrorDetails:
    found = [details for item in values[:_MAX_LIST_ITEMS] if (details := _parse(item, depth + 1)).message]
    if not found:
        return ErrorDetails()
    return found[0]._replace(message="; ".join(details.message for details in found)[:_MAX_MESSAGE_CHARS])


def _parse_object(value: Mapping[str, Any], depth: int) -> ErrorDetails:
    inner = next((value[name] for name in _CONTAINERS if _holds_error(value.get(name))), None)
    own = _own_details(value, depth)
    if inner is None:
        return own
    details = _parse(inner, depth + 1)
    # A text beside a message is only the name of its status.
    message = own.message if isinstance(inner, str) and own.message else details.message or own.message
    return ErrorDetails(
        message,
        details.code or own.code,
        details.type or own.type,
        details.param or own.param,
        details.status or own.status,
    )


def _holds_error(member: Any) -> bool:
    return isinstance(member, dict | list | str) and bool(member)


def _own_details(value: Mapping[str, Any], depth: int) -> ErrorDetails:
    nested = next(
        (_parse(value[name], depth + 1) for name in _MESSAGES if _holds_error(value.get(name))), ErrorDetails()
    )
    message, param = _located(value, nested.message)
    code = next((text for name in _CODES if (text := _name(value.get(name)))), "")
    status_name = _name(value.get("status"))
    if (not code or code.isdigit()) and status_name.isupper():
        # Google's name of an error is more specific than its number.
        code = status_name.lower()
    kind = next((text for name in _TYPES if (text := _name(value.get(name))) and _is_type(text)), "")
    return ErrorDetails(
        _with_upstream(value, message, depth),
        code or nested.code,
        kind or nested.type,
        param or nested.param,
        _status(value) or nested.status,
    )


def _is_type(text: str) -> bool:
    # RFC 9457's types are addresses.
    return text not in _MARKERS and ":" not in text


def _located(value: Mapping[str, Any], message: str) -> tuple[str, str | None]:
    """Return the message and the parameter; FastAPI states the place of a parameter as a list."""
    location = value.get("loc")
    if not isinstance(location, list) or not message:
        return message, _name(value.get("param")) or None
    param = ".".join(str(part) for part in location if part != "body")
    return (f"{param}: {message}" if param else message), param or None


def _with_upstream(value: Mapping[str, Any], message: str, depth: int) -> str:
    """Add the words of the provider behind OpenRouter, whose own message is always the same."""
    metadata = value.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    words = _parse(raw, depth + 1).message if isinstance(raw, str) else ""
    return f"{message}: {words}"[:_MAX_MESSAGE_CHARS] if words and words not in message else message


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(int(value)) if isinstance(value, int | float) and not isinstance(value, bool) and value else ""


def _status(value: Mapping[str, Any]) -> int | None:
    if "status_msg" in value and isinstance(value.get("status_code"), int):
        return _MINIMAX_STATUSES.get(value["status_code"])
    return next(_error_statuses(value), None)


def _error_statuses(value: Mapping[str, Any]) -> Iterator[int]:
    for name in _STATUSES:
        text = _name(value.get(name))
        if len(text) == 3 and text.isdigit() and text[0] in "45":  # noqa: PLR2004 - the digits of a status
            yield int(text)


def _plain_text(body: bytes) -> str:
    """Return a short text for people; nothing for a page or binary data."""
    try:
        text = " ".join(body.decode().split())
    except UnicodeDecodeError:
        return ""
    is_markup = "<html" in text.lower() or text.startswith(("<", "{", "["))
    is_for_people = text.isprintable() and len(text) <= _MAX_PLAIN_CHARS and not is_markup and text != "null"
    return text if is_for_people else ""
