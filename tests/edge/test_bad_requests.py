"""Everything that a caller can do wrong, as OpenAI's SDK tells it."""

import gzip
import http.client
import json

import httpx
import pytest
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)
from openai.types.chat import ChatCompletionMessageParam

from edge.running import WITHIN_S, RunningEdge
from tollgate_common.auth import api_key as apikey
from tollgate_common.events import Outcome

pytestmark = pytest.mark.live

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What flows past the harbor?"}]
BODY = {"model": "gpt-4o", "messages": MESSAGES}


async def refused_key(edge: RunningEdge, key: str) -> AuthenticationError:
    async with AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=key) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    return caught.value


async def test_invalid_keys(edge: RunningEdge) -> None:
    last = "A" if edge.keys.good[-1] != "A" else "B"
    wrong = {
        "another product's": "sk-proj-1234567890",
        "wrong checksum": edge.keys.good[:-1] + last,
        "unknown": apikey.generate().text,
        "expired": edge.keys.expired,
        "revoked": edge.keys.revoked,
    }
    for case, key in wrong.items():
        error = await refused_key(edge, key)
        assert (error.code, error.type) == ("invalid_api_key", "invalid_request_error"), case
        assert error.request_id, case


def post(edge: RunningEdge, body: bytes, **headers: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {edge.keys.good}", **headers}
    return httpx.post(f"{edge.url}/v1/chat/completions", content=body, headers=headers, trust_env=False)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic dXNlcjpwYXNz", "tg_without_a_scheme"])
def test_invalid_authorization(edge: RunningEdge, authorization: str) -> None:
    response = post(edge, json.dumps(BODY).encode(), authorization=authorization)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"model": "gpt-4o"} trailing'])
def test_body_is_not_json_object(edge: RunningEdge, body: bytes) -> None:
    response = post(edge, body)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 4}, "model"),
        ({"model": "m" * 1000}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"user": 7}, "user"),
    ],
)
async def test_missing_or_invalid_parameter(
    edge: RunningEdge, sdk: AsyncOpenAI, changed: dict[str, object], param: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES, extra_body=changed)
    assert caught.value.param == param
    body = {name: value for name, value in BODY.items() if name != param}
    if len(body) < len(BODY):
        error = post(edge, json.dumps(body).encode()).json()["error"]
        assert (error["param"], error["code"]) == (param, "missing_required_parameter")


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("no-such-model", "model_not_found"),
        # In the catalogue, at a provider that this edge does not reach.
        ("elsewhere", "model_not_found"),
        # Its first price begins tomorrow.
        ("coming", "model_not_priced"),
    ],
)
async def test_uncallable_model(sdk: AsyncOpenAI, model: str, code: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        await sdk.chat.completions.create(model=model, messages=MESSAGES)
    assert (caught.value.code, caught.value.param) == (code, "model")
    assert caught.value.type == "invalid_request_error"


async def test_model_not_allowed_for_key(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    limited = sdk.with_options(api_key=edge.keys.limited)
    assert (await limited.chat.completions.create(model="gpt-4o", messages=MESSAGES)).choices
    with pytest.raises(NotFoundError) as caught:
        await limited.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.code == "model_not_found"


async def test_plan_without_a_price(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await sdk.with_options(api_key=edge.keys.odd_plan).chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.code == "model_not_priced"


async def test_body_over_the_limit(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    big: list[ChatCompletionMessageParam] = [{"role": "user", "content": "x" * (1 << 20)}]
    with pytest.raises(APIStatusError) as caught:
        await sdk.chat.completions.create(model="gpt-4o", messages=big)
    assert caught.value.status_code == 413
    assert caught.value.code == "request_too_large"


def test_body_over_the_limit_of_unknown_length(edge: RunningEdge) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=WITHIN_S)
    try:
        chunks = (b"x" * 10_000 for _ in range(10))
        headers = {"Authorization": f"Bearer {edge.keys.good}"}
        connection.request("POST", "/v1/chat/completions", body=chunks, headers=headers, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 413
        assert json.load(response)["error"]["code"] == "request_too_large"
    finally:
        connection.close()


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_body(edge: RunningEdge, encoding: str) -> None:
    answer = post(edge, gzip.compress(b"{}"), **{"content-encoding": encoding})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (415, "unsupported_content_encoding")
    assert error["param"] == "content-encoding"
    assert encoding in error["message"]


def test_identity_encoding_is_accepted(edge: RunningEdge) -> None:
    body = json.dumps({"model": "gpt-4o", "messages": MESSAGES}).encode()
    assert post(edge, body, **{"content-encoding": "identity"}).status_code == 200


async def test_account_without_credit(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    for key in (edge.keys.spent, edge.keys.poor):
        # With the SDK's own retries: a refusal for want of credit must not be tried again.
        client = sdk.with_options(api_key=key, max_retries=2)
        with pytest.raises(APIStatusError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        assert caught.value.status_code == 402
        assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
        assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/no/such/path", 404),
        ("GET", "/v2", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
    ],
)
def test_unknown_path(edge: RunningEdge, method: str, path: str, status: int) -> None:
    headers = {"authorization": f"Bearer {edge.keys.good}"}
    response = httpx.request(method, edge.url + path, headers=headers, trust_env=False)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert path in error["message"]
    assert response.headers["x-request-id"]
    assert ("allow" in response.headers) == (status == 405)


def test_wrong_method_error_has_format_of_api(edge: RunningEdge) -> None:
    answer = httpx.get(f"{edge.url}/v1/messages", trust_env=False)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (answer.json()["type"], answer.json()["error"]["type"]) == ("error", "invalid_request_error")


@pytest.mark.parametrize("status", [401, 403])
async def test_provider_rejects_operator_key(edge: RunningEdge, sdk: AsyncOpenAI, status: int) -> None:
    with pytest.raises(InternalServerError) as caught:
        await simulated(sdk, f"error:{status}")
    assert caught.value.status_code == 502
    assert caught.value.code == "provider_error"
    await check_refused(edge, caught.value, 502)


async def simulated(sdk: AsyncOpenAI, behavior: str) -> None:
    await sdk.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, extra_body={"metadata": {"simulate": behavior}}
    )


async def check_refused(edge: RunningEdge, error: APIStatusError, status: int) -> None:
    events = await edge.events(error.response.headers["x-request-id"])
    assert len(events.opened) == len(events.closed) == 1
    assert not events.used
    closed = events.closed[0]
    assert (closed.outcome, closed.status, closed.first_token_ms) == (Outcome.REFUSED, status, None)
    assert closed.error_code == (error.code or "")


async def test_provider_rate_limit(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    with pytest.raises(RateLimitError) as caught:
        await simulated(sdk, "error:429")
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "1"
    await check_refused(edge, caught.value, 429)


@pytest.mark.parametrize("status", [400, 422, 500, 503])
async def test_provider_rejects_request(edge: RunningEdge, sdk: AsyncOpenAI, status: int) -> None:
    with pytest.raises(APIStatusError) as caught:
        await simulated(sdk, f"error:{status}")
    assert caught.value.status_code == status
    await check_refused(edge, caught.value, status)


async def test_provider_lacks_model(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await sdk.chat.completions.create(model="gone", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    await check_refused(edge, caught.value, 404)


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("close_before_answer", 502), ("garbage", 502), ("truncated_body", 502), ("hang", 504)],
)
async def test_provider_fails_before_response(edge: RunningEdge, sdk: AsyncOpenAI, behavior: str, status: int) -> None:
    with pytest.raises(InternalServerError) as caught:
        await simulated(sdk, behavior)
    assert caught.value.status_code == status
    await check_refused(edge, caught.value, status)
