"""Errors keep the provider's words, whatever their shape: agents decide by them."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.endpoints.messages import MESSAGES
from tollgate_edge.http.errors import ProviderError, ProviderFailed, ProviderRefused
from tollgate_edge.providers import anthropic, gemini, openai
from tollgate_edge.providers.error_body import find_error, find_event_error, parse_error_body, stream_failure
from tollgate_edge.providers.http_transport import ErrorResponse

PROTOCOLS: dict[str, Callable[[ErrorResponse], ProviderError]] = {
    "openai": openai.to_provider_error,
    "anthropic": anthropic.to_provider_error,
    "gemini": gemini.to_provider_error,
}
WORDS = "This model's maximum context length is 8192 tokens."


class Shape(NamedTuple):
    """A body, and the words that a client must get."""

    body: Any
    code: str | None = None
    kind: str | None = None
    message: str = WORDS
    param: str | None = None


SHAPES = {
    "message": Shape({"message": WORDS}),
    "detail": Shape({"detail": WORDS}),
    "fastapi": Shape(
        {"detail": [{"type": "missing", "loc": ["body", "messages", 0, "role"], "msg": "Field required"}]},
        kind="missing",
        message="messages.0.role: Field required",
        param="messages.0.role",
    ),
    "fastapi-two": Shape(
        {"detail": [{"loc": ["body", "n"], "msg": "too large"}, {"loc": ["body", "user"], "msg": "too long"}]},
        message="n: too large; user: too long",
        param="n",
    ),
    "text-as-error": Shape({"error": WORDS}),
    "xai": Shape(
        {"code": "Client specified an invalid argument", "error": WORDS}, "Client specified an invalid argument"
    ),
    "tgi": Shape({"error": WORDS, "error_type": "validation"}, kind="validation"),
    "spring": Shape({"statusCode": 400, "message": WORDS, "error": "Bad Request"}),
    "gemini-list": Shape(
        [{"error": {"code": 400, "message": WORDS, "status": "INVALID_ARGUMENT", "details": []}}], "invalid_argument"
    ),
    "vllm": Shape(
        {"error": {"message": WORDS, "type": "BadRequestError", "param": None, "code": 400}}, "400", "BadRequestError"
    ),
    "vllm-old": Shape(
        {"object": "error", "message": WORDS, "type": "BadRequestError", "param": None, "code": 400},
        "400",
        "BadRequestError",
    ),
    "plain": Shape(WORDS.encode()),
    "json-text": Shape(WORDS),
    "cloudflare": Shape({"success": False, "errors": [{"code": 5007, "message": WORDS}], "result": None}, "5007"),
    "nested-message": Shape({"error": {"message": {"message": WORDS, "code": "too_long"}}}, "too_long"),
    "mistral": Shape(
        {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "no"}]}, "code": None},
        message="n: no",
        param="n",
    ),
    "minimax": Shape({"base_resp": {"status_code": 2013, "status_msg": WORDS}}, "2013"),
    "minimax-messages": Shape(
        {"type": "error", "error": {"type": "bad_request_error", "message": WORDS, "http_code": "400"}},
        kind="bad_request_error",
    ),
    "msg": Shape({"code": 1210, "msg": WORDS, "success": False}, "1210"),
    "zhipu": Shape({"error": {"code": "1261", "message": WORDS}}, "1261"),
    "dashscope": Shape({"code": "InvalidParameter", "message": WORDS, "request_id": "1f4c"}, "InvalidParameter"),
    "dashscope-event": Shape(
        b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"InvalidParameter","message":"%b"}\n\n' % WORDS.encode(),
        "InvalidParameter",
    ),
    "openrouter": Shape(
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps({"error": {"message": WORDS}}), "provider_name": "Azure"},
            }
        },
        "400",
        message=f"Provider returned error: {WORDS}",
    ),
    "litellm": Shape({"error": {"message": json.dumps({"error": {"message": WORDS, "code": "too_long"}})}}, "too_long"),
    "problem": Shape({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": WORDS}),
    "bedrock": Shape({"__type": "ValidationException", "message": WORDS}, kind="ValidationException"),
    "half-a-pair": Shape(b'{"error":{"message":"cut \\ud83d","code":"cut"}}', "cut", message="cut \ufffd"),
}


def encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_words_are_kept(shape: Shape, status: int) -> None:
    error = openai.to_provider_error(ErrorResponse(status, encoded(shape.body), None))
    assert isinstance(error, ProviderRefused)
    assert (error.status, error.upstream_status) == (status, status)
    sent = msgspec.json.decode(error.body())["error"]
    assert sent["message"] == shape.message
    assert sent["code"] == shape.code
    assert sent["param"] == shape.param
    assert sent["type"] == (shape.kind or ("server_error" if status == 500 else "invalid_request_error"))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_keeps_the_message(protocol: str, shape: Shape) -> None:
    error = PROTOCOLS[protocol](ErrorResponse(400, encoded(shape.body), None))
    assert str(error) == shape.message


NOTHING_TO_SAY = [
    b"",
    b"<!DOCTYPE html><html><body>502 Bad Gateway: 10.0.0.7</body></html>",
    b"\n<html>\r\n<head><title>524</title></head></html>",
    b"Error at line 1 " * 100,
    b"\x1f\x8b\x08\x00\xff",
    b"null",
    b"{}",
    b"[]",
    b"7",
    b'{"error":null}',
    b'{"error":{}}',
    b'{"error":7,"message":[]}',
    b'{"message":"cut off',
    b"[" * 5_000,
    b'{"error":' * 50 + b'"deep"' + b"}" * 50,
]


@pytest.mark.parametrize("body", NOTHING_TO_SAY)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_body_without_words_has_a_neutral_text(protocol: str, body: bytes) -> None:
    error = PROTOCOLS[protocol](ErrorResponse(502, body, None))
    assert (error.status, str(error)) == (502, "The provider responded with status 502.")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [302, 401, 402, 403])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_operator_errors_stay_hidden(protocol: str, status: int, shape: Shape) -> None:
    error = PROTOCOLS[protocol](ErrorResponse(status, encoded(shape.body), None))
    assert isinstance(error, ProviderFailed)
    assert (error.status, error.upstream_status) == (502, status)
    assert shape.message.encode() not in error.body()


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
        {"error": {"code": "1113", "message": "Your account is in arrears"}},
        {"code": "Arrearage", "message": "Access denied"},
        {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
        {"base_resp": {"status_code": 1004, "status_msg": "login fail: sk-1"}},
        {"error": {"code": 402, "message": "Insufficient credits"}},
    ],
)
@pytest.mark.parametrize("status", [400, 429])
def test_codes_of_the_operators_account_are_hidden(body: Any, status: int) -> None:
    error = openai.to_provider_error(ErrorResponse(status, encoded(body), None))
    assert isinstance(error, ProviderFailed)
    assert (error.status, error.upstream_status) == (502, status)


def test_overload_keeps_its_status_for_anthropics_clients_alone() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    for convert in PROTOCOLS.values():
        error = convert(ErrorResponse(529, body, None))
        assert isinstance(error, ProviderRefused)
        assert (error.status, error.upstream_status, str(error)) == (503, 529, "Overloaded")
        error.keep_overloaded()
        assert error.status == 529
        assert msgspec.json.decode(MESSAGES.error_format.body(error))["error"]["type"] == "overloaded_error"


ERRORS_WITH_STATUS_200: list[tuple[Any, int]] = [
    ({"error": {"code": 429, "message": "slow down"}}, 429),
    ({"error": {"code": 502, "message": "no instances"}, "user_id": "u"}, 502),
    ({"id": "x", "choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, 429),
    ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, 402),
    ({"base_resp": {"status_code": 1027, "status_msg": "output sensitive"}, "choices": []}, 400),
    ({"base_resp": {"status_code": 9999, "status_msg": "new"}}, 502),
    ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529),
    ({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, 429),
    ({"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}, 400),
    ({"type": "error", "error": {"type": "api_error", "message": "x", "http_code": "500"}}, 500),
    ({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, 400),
    ({"error": {"code": "context_length_exceeded", "type": "invalid_request_error", "message": "x"}}, 400),
    ({"error": {"code": "rate_limit_exceeded", "type": "requests", "message": "x"}}, 429),
    ({"error": {"type": "server_error", "message": "x"}}, 500),
    ({"error": "model is loading"}, 502),
    ({"error": {"message": "x"}}, 502),
    ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, 500),
    ({"success": False, "errors": [{"code": 5007, "message": "x"}]}, 502),
    ({"code": "Throttling.RateQuota", "message": "x"}, 429),
    ([{"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}], 503),
    (
        {
            "object": "response",
            "status": "failed",
            "output": [],
            "text": {"format": {"type": "text"}},
            "error": {"code": "server_error", "message": "x"},
        },
        500,
    ),
]
NO_ERRORS: list[Any] = [
    {
        "choices": [{"message": {"role": "assistant", "content": None}}],
        "base_resp": {"status_code": 0, "status_msg": ""},
    },
    {"choices": [{"message": {}}], "error": None},
    {"object": "response", "status": "completed", "output": [{"type": "message"}], "error": None},
    {"object": "response", "status": "incomplete", "output": [], "error": None, "usage": {}},
    {"type": "message", "content": [{"type": "tool_use", "input": {"code": 1, "message": "m"}}]},
    {"type": "message", "content": [], "stop_reason": "end_turn"},
    {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}},
    {"object": "list", "data": [], "usage": {}},
    {"input_tokens": 5},
    {"text": "", "success": True},
    {"id": "m", "results": [{"flagged": False, "categories": {"error": False}}]},
    [1.0, 2.0],
    [],
    7,
]


@pytest.mark.parametrize(("body", "status"), ERRORS_WITH_STATUS_200)
def test_error_with_status_200_is_found(body: Any, status: int) -> None:
    found = find_error(encoded(body))
    assert found is not None
    assert found.message
    assert found.implied_status == status
    if isinstance(body, dict):
        event = find_event_error(b"data: " + encoded(body))
        assert event is not None
        assert event.implied_status == status


@pytest.mark.parametrize("body", NO_ERRORS)
def test_response_is_not_an_error(body: Any) -> None:
    assert find_error(encoded(body)) is None
    assert find_event_error(b"data: " + encoded(body)) is None


def test_failed_event_keeps_the_providers_words() -> None:
    failed = {
        "type": "response.failed",
        "sequence_number": 3,
        "response": {"id": "r", "status": "failed", "error": {"code": "context_length_exceeded", "message": WORDS}},
    }
    event = b"event: response.failed\ndata: " + encoded(failed)
    found = find_event_error(event)
    assert found is not None
    assert (found.message, found.code, found.implied_status) == (WORDS, "context_length_exceeded", 400)
    error = stream_failure(encoded(failed))
    assert (str(error), error.code, error.status) == (WORDS, "context_length_exceeded", 502)
    assert parse_error_body(event).message == WORDS


@pytest.mark.parametrize("code", ["insufficient_quota", "invalid_api_key", 402, "permission_denied"])
def test_event_about_the_operators_account_is_hidden(code: str | int) -> None:
    error = stream_failure(encoded({"error": {"code": code, "message": "secret"}}))
    assert (error.code, error.status) == ("provider_error", 502)
    assert "secret" not in str(error)


def test_event_without_words_is_a_neutral_error() -> None:
    error = stream_failure(b'{"error":{}}')
    assert (str(error), error.code) == ("The provider reported an error during its response.", "provider_error")


STARTED = {
    "/v1/chat/completions": b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n',
    "/v1/completions": b'data: {"id":"c","choices":[{"index":0,"text":"Hi"}]}\n\n',
    "/v1/messages": b'event: ping\ndata: {"type":"ping"}\n\n',
    "/v1/responses": b'event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\n',
}


@pytest.mark.parametrize("path", STARTED)
def test_error_in_mid_stream_keeps_the_providers_words(path: str) -> None:
    turns = [{"role": "user", "content": "hi"}]
    body = {"model": "m", "stream": True, "max_tokens": 5, "messages": turns, "prompt": "hi"}
    if path == "/v1/responses":
        body = {"model": "m", "stream": True, "input": "hi"}
    stream = ENDPOINTS[path].parse(json.dumps(body).encode(), {}).open_stream()
    assert stream.feed(STARTED[path])
    details = {"code": "context_length_exceeded", "message": WORDS}
    event = encoded({"type": "error", "error": details})
    assert not stream.feed(b"event: error\ndata: " + event + b"\n\n")
    assert stream.failure is not None
    assert (str(stream.failure), stream.failure.code) == (WORDS, "context_length_exceeded")
