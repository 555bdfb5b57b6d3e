"""Vertex AI: paths and bodies for Gemini and Claude, and tokens of a service account."""

import asyncio
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from edge.scripted_provider import Script, ScriptedServer, scripted_provider
from tollgate_edge.http.errors import ProviderFailed, ProviderRefused
from tollgate_edge.providers import vertex
from tollgate_edge.providers.base import Operation, ProviderRequest
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.providers.vertex import VertexProvider

OPTIONS = ProviderOptions(project="my-project", region="global")
AUDIENCE = "https://oauth2.googleapis.com/token"
PLACE = "/v1/projects/my-project/locations/global"
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
GENERATED = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": USAGE,
}
MESSAGE = {
    "id": "msg_vrtx_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
TOKEN = {"access_token": "google-token-1", "expires_in": 3600, "token_type": "Bearer"}


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_account(token_uri: str) -> str:
    pem = private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = {
        "type": "service_account",
        "client_email": "edge@my-project.iam.gserviceaccount.com",
        "private_key_id": "key-1",
        "private_key": pem.decode(),
        "token_uri": token_uri,
    }
    return msgspec.json.encode(info).decode()


def answer(body: object, status: int = 200) -> Script:
    return Script([msgspec.json.encode(body)], status=status, content_type="application/json")


def request(model: str, operation: Operation = Operation.CHAT, **members: Any) -> ProviderRequest:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]} | members
    headers = (("anthropic-version", "2023-06-01"), ("anthropic-beta", "context-1m-2025-08-07"))
    return ProviderRequest(operation, model, msgspec.json.encode(body), headers=headers)


async def exchange(sent: ProviderRequest, body: object, status: int = 200) -> tuple[ScriptedServer, dict[str, Any]]:
    async with scripted_provider(answer(TOKEN)) as login, scripted_provider(answer(body, status)) as server:
        provider = VertexProvider(server.url, service_account(login.url), Timeouts(2, 2), OPTIONS)
        try:
            response = await provider.complete(sent)
        finally:
            await provider.aclose()
        assert server.headers(0)["authorization"] == "Bearer google-token-1"
        return server, msgspec.json.decode(response.body)


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro"])
async def test_chat_at_gemini(model: str) -> None:
    server, chat = await exchange(request(model), GENERATED)
    assert server.paths == [f"{PLACE}/publishers/google/models/gemini-2.5-pro:generateContent"]
    assert chat["choices"][0]["message"]["content"] == "Hi"
    assert chat["usage"]["prompt_tokens"] == 3
    assert chat["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(("model", "has_ids"), [("gemini-2.5-pro", False), ("gemini-3-pro", True)])
async def test_ids_of_calls_are_sent_since_gemini_3(model: str, has_ids: bool) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
    ]
    server, _ = await exchange(request(model, messages=messages), GENERATED)
    parts = [part for content in msgspec.json.decode(server.bodies[0])["contents"] for part in content["parts"]]
    called = [part[name] for part in parts for name in ("functionCall", "functionResponse") if name in part]
    assert len(called) == 2
    assert all(("id" in one) is has_ids for one in called)


async def test_messages_at_gemini_are_translated() -> None:
    server, message = await exchange(request("gemini-2.5-pro", Operation.MESSAGES, max_tokens=10), GENERATED)
    assert server.paths[0].endswith(":generateContent")
    assert message["content"][0]["text"] == "Hi"


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-5@20250929", "publishers/anthropic/models/claude-sonnet-4-5@20250929"]
)
async def test_messages_at_claude_pass_through(model: str) -> None:
    server, message = await exchange(
        request(model, Operation.MESSAGES, max_tokens=10, unknown=1, anthropic_beta=["unchecked"]), MESSAGE
    )
    assert message == MESSAGE
    assert server.paths == [f"{PLACE}/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"]
    assert msgspec.json.decode(server.bodies[0]) == {
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 10,
        "unknown": 1,
        "anthropic_version": "vertex-2023-10-16",
    }
    assert server.headers(0)["anthropic-beta"] == "context-1m-2025-08-07"
    assert "anthropic-version" not in server.headers(0)


async def test_chat_at_claude() -> None:
    server, chat = await exchange(request("claude-sonnet-4-5@20250929"), MESSAGE)
    sent = msgspec.json.decode(server.bodies[0])
    assert "model" not in sent
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert sent["max_tokens"] > 0
    assert chat["choices"][0]["message"]["content"] == "Hi"
    assert (chat["usage"]["prompt_tokens"], chat["usage"]["completion_tokens"]) == (3, 2)


async def test_tokens_of_claude_are_counted_by_vertex() -> None:
    server, counted = await exchange(request("claude-opus-4-1@20250805", Operation.COUNT_TOKENS), {"input_tokens": 8})
    assert counted == {"input_tokens": 8}
    assert server.paths == [f"{PLACE}/publishers/anthropic/models/count-tokens:rawPredict"]
    assert msgspec.json.decode(server.bodies[0])["model"] == "claude-opus-4-1@20250805"


@pytest.mark.parametrize(
    ("model", "operation", "method"),
    [
        ("gemini-2.5-pro", Operation.CHAT, "streamGenerateContent?alt=sse"),
        ("claude-opus-4-1", Operation.CHAT, "streamRawPredict"),
        ("claude-opus-4-1", Operation.MESSAGES, "streamRawPredict"),
    ],
)
async def test_streams(model: str, operation: Operation, method: str) -> None:
    generated = b"data: %b\n\n" % msgspec.json.encode(GENERATED)
    start = {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    events: list[dict[str, Any]] = [start, delta, {"type": "message_stop"}]
    message = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), msgspec.json.encode(e)) for e in events)
    script = Script([generated if model.startswith("gemini") else message])
    async with scripted_provider(answer(TOKEN)) as login, scripted_provider(script) as server:
        provider = VertexProvider(server.url, service_account(login.url), Timeouts(2, 2), OPTIONS)
        got = b""
        async with provider.stream(request(model, operation, stream=True, max_tokens=5)) as chunks:
            while (chunk := await chunks.read()) is not None:
                got += chunk
        assert got == message if operation is Operation.MESSAGES else got.endswith(b"data: [DONE]\n\n")
        assert server.paths[0].endswith(f":{method}")
        await provider.aclose()


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "claude-opus-4-1"])
@pytest.mark.parametrize(("status", "kind"), [(429, ProviderRefused), (403, ProviderFailed)])
async def test_errors(model: str, status: int, kind: type[Exception]) -> None:
    body = {"error": {"code": status, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
    with pytest.raises(kind) as caught:
        await exchange(request(model), body, status)
    assert getattr(caught.value, "upstream_status", None) == status


async def test_token_is_signed_by_the_service_account_and_shared() -> None:
    async with scripted_provider(answer(TOKEN)) as login, scripted_provider(answer(GENERATED)) as server:
        provider = VertexProvider(server.url, service_account(login.url), Timeouts(2, 2), OPTIONS)
        await asyncio.gather(*(provider.complete(request("gemini-2.5-pro")) for _ in range(4)))
        assert len(login.requests) == 1
        form = parse_qs(login.bodies[0].decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        claims = jwt.decode(form["assertion"][0], private_key().public_key(), ["RS256"], audience=AUDIENCE)
        assert claims["iss"] == "edge@my-project.iam.gserviceaccount.com"
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        await provider.aclose()


async def test_rejected_service_account_is_safe_to_retry() -> None:
    rejected = answer({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
    async with scripted_provider(rejected) as login, scripted_provider(answer(GENERATED)) as server:
        provider = VertexProvider(server.url, service_account(login.url), Timeouts(2, 2), OPTIONS)
        with pytest.raises(ProviderFailed) as caught:
            await provider.complete(request("gemini-2.5-pro"))
        assert (caught.value.status, caught.value.sent) == (502, False)
        assert not server.requests
        await provider.aclose()


@pytest.mark.parametrize("key", ["sk-secret", "{}", '{"client_email":"a","private_key":"b","token_uri":"c"}', "[1]"])
def test_invalid_key_is_explained_and_not_repeated(key: str) -> None:
    problem = vertex.find_problem(key, OPTIONS)
    assert problem is not None
    assert "service account's key" in problem
    assert "secret" not in problem


def test_valid_key_and_none() -> None:
    assert vertex.find_problem(service_account("https://oauth2.googleapis.com/token"), OPTIONS) is None
    assert vertex.find_problem("", OPTIONS) is None


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("global", "https://aiplatform.googleapis.com/v1"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1"),
        ("us-east5", "https://us-east5-aiplatform.googleapis.com/v1"),
    ],
)
def test_url_of_region(region: str, url: str) -> None:
    assert vertex.regional_url(region) == url
