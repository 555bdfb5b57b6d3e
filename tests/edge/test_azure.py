"""Azure OpenAI: paths, keys and tokens of Entra."""

import asyncio
from urllib.parse import parse_qs

import msgspec
import pytest

from edge.scripted_provider import Script, ScriptedServer, scripted_provider
from tollgate_edge.http.errors import ProviderFailed, ProviderRefused
from tollgate_edge.providers.azure import AzureProvider
from tollgate_edge.providers.base import Operation, ProviderRequest
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.options import ProviderOptions

TIMEOUTS = Timeouts(2, 2)
DATED = ProviderOptions(api_version="2024-10-21")
JSON_OK = Script([b'{"choices":[]}'], content_type="application/json")
CHAT = ProviderRequest(Operation.CHAT, "my gpt/4o", b'{"model":"my gpt/4o","messages":[]}')


def root(server: ScriptedServer) -> str:
    return server.url.removesuffix("/v1")


async def sent_path(operation: Operation, options: ProviderOptions, suffix: str = "") -> str:
    async with scripted_provider(JSON_OK) as server:
        provider = AzureProvider(root(server) + suffix, "azure-key-1", TIMEOUTS, options)
        await provider.complete(CHAT._replace(operation=operation))
        assert server.headers(0)["api-key"] == "azure-key-1"
        assert "authorization" not in server.headers(0)
        await provider.aclose()
        return server.paths[0]


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (Operation.CHAT, "/openai/deployments/my%20gpt%2F4o/chat/completions?api-version=2024-10-21"),
        (Operation.EMBEDDINGS, "/openai/deployments/my%20gpt%2F4o/embeddings?api-version=2024-10-21"),
        (Operation.IMAGES, "/openai/deployments/my%20gpt%2F4o/images/generations?api-version=2024-10-21"),
        (Operation.TRANSCRIPTIONS, "/openai/deployments/my%20gpt%2F4o/audio/transcriptions?api-version=2024-10-21"),
        (Operation.RESPONSES, "/openai/responses?api-version=2024-10-21"),
    ],
)
async def test_dated_api_has_deployment_and_version_in_path(operation: Operation, path: str) -> None:
    assert await sent_path(operation, DATED) == path


@pytest.mark.parametrize("suffix", ["", "/", "/openai", "/openai/v1/"])
async def test_v1_api_has_neither(suffix: str) -> None:
    assert await sent_path(Operation.CHAT, ProviderOptions(), suffix) == "/openai/v1/chat/completions"


async def test_stream() -> None:
    async with scripted_provider(Script([b"data: [DONE]\n\n"])) as server:
        provider = AzureProvider(root(server), "azure-key-1", TIMEOUTS, DATED)
        async with provider.stream(CHAT) as chunks:
            assert await chunks.read() == b"data: [DONE]\n\n"
        assert server.paths[0].startswith("/openai/deployments/")
        await provider.aclose()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (429, {"error": {"code": "429", "message": "Requests exceeded call rate limit"}}, ProviderRefused, "429"),
        (400, {"error": {"code": "content_filter", "message": "Filtered"}}, ProviderRefused, "content_filter"),
        (401, {"error": {"code": "401", "message": "Access denied due to invalid key"}}, ProviderFailed, None),
    ],
)
async def test_errors(status: int, body: object, kind: type[Exception], code: str | None) -> None:
    script = Script([msgspec.json.encode(body)], status=status, content_type="application/json")
    async with scripted_provider(script) as server:
        provider = AzureProvider(root(server), "azure-key-1", TIMEOUTS, DATED)
        with pytest.raises(kind) as caught:
            await provider.complete(CHAT)
        assert getattr(caught.value, "upstream_status", None) == status
        assert code is None or getattr(caught.value, "code", None) == code
        await provider.aclose()


def entra(server: ScriptedServer) -> ProviderOptions:
    return ProviderOptions(tenant_id="contoso", client_id="app-1", authority=root(server))


def token(number: int, lifetime_s: int = 3600) -> Script:
    body = {"token_type": "Bearer", "access_token": f"entra-token-{number}", "expires_in": lifetime_s}
    return Script([msgspec.json.encode(body)], content_type="application/json")


async def test_concurrent_requests_share_one_entra_token() -> None:
    async with scripted_provider(token(1)) as login, scripted_provider(JSON_OK) as server:
        provider = AzureProvider(root(server), "client-secret", TIMEOUTS, entra(login))
        await asyncio.gather(*(provider.complete(CHAT) for _ in range(5)))
        await provider.complete(CHAT)
        assert login.paths == ["/contoso/oauth2/v2.0/token"]
        assert parse_qs(login.bodies[0].decode()) == {
            "grant_type": ["client_credentials"],
            "client_id": ["app-1"],
            "client_secret": ["client-secret"],
            "scope": ["https://cognitiveservices.azure.com/.default"],
        }
        assert {server.headers(n)["authorization"] for n in range(6)} == {"Bearer entra-token-1"}
        assert "api-key" not in server.headers(0)
        await provider.aclose()


async def test_rejected_application_is_safe_to_retry_and_hides_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    body = b'{"error":"invalid_client","error_description":"client-secret is wrong","error_codes":[7000215]}'
    rejected = Script([body], status=401, content_type="application/json")
    async with scripted_provider(rejected) as login, scripted_provider(JSON_OK) as server:
        provider = AzureProvider(root(server), "client-secret", TIMEOUTS, entra(login))
        with pytest.raises(ProviderFailed) as caught:
            await provider.complete(CHAT)
        assert (caught.value.status, caught.value.sent, caught.value.upstream_status) == (502, False, None)
        assert not server.requests
        assert "AADSTS7000215" in caplog.text
        assert "client-secret" not in caplog.text + str(caught.value)
        await provider.aclose()
