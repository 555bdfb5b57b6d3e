"""A provider with Azure OpenAI's API. Bodies have OpenAI's format.

| API | path | model |
|---|---|---|
| dated | `/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21` | the deployment in the path |
| v1 | `/openai/v1/chat/completions` | the deployment as `model` in the body |

Requests are authenticated by the resource's key (header `api-key`) or by an access token of Microsoft Entra ID, which
an application obtains with its client secret. The token is requested directly (RFC 6749, 4.4): azure-identity would
add five packages for this one request.

Sources: learn.microsoft.com/azure/ai-foundry/openai/reference,
learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle,
learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
github.com/openai/openai-python (`lib/azure.py` lists the operations that have a deployment in their path).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tollgate_edge.providers.base import Headers, Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.http_transport import Timeouts, Transport
from tollgate_edge.providers.openai import to_provider_error
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.providers.renewal import Issued, RenewedCredential
from tollgate_edge.providers.translators.thought_signatures import without_signatures

_SCOPE = "https://cognitiveservices.azure.com/.default"
_AUTHORITY = "https://login.microsoftonline.com"
_DEPLOYMENT_OPERATIONS = frozenset(
    {
        Operation.CHAT,
        Operation.COMPLETIONS,
        Operation.EMBEDDINGS,
        Operation.IMAGES,
        Operation.SPEECH,
        Operation.TRANSCRIPTIONS,
        Operation.TRANSLATIONS,
    }
)


class AzureProvider:
    operations = _DEPLOYMENT_OPERATIONS | {Operation.RESPONSES}

    def __init__(
        self, base_url: str, api_key: str, timeouts: Timeouts, options: ProviderOptions, *, name: str = "azure"
    ) -> None:
        """Create the client. It connects when the first request needs a connection.

        Args:
            base_url: URL of the resource: `https://my-resource.openai.azure.com`, with or without `/openai/v1`.
            api_key: a key of the resource; with a client id, the secret of that Entra application.
            timeouts: for connecting and reading.
            options: `api_version` selects the dated API, `tenant_id` and `client_id` select Entra.
            name: the provider's name in the catalog.
        """
        self.name = name
        self._api_version = options.api_version
        root = base_url.rstrip("/").removesuffix("/v1").removesuffix("/openai") + "/openai"
        self._token: RenewedCredential[str] | None = None
        headers = {}
        if options.client_id is None:
            headers["api-key"] = api_key
        else:
            self._token = RenewedCredential("an Entra token for Azure", EntraTokens(api_key, options, timeouts).issue)
        self._transport = Transport(root, headers, timeouts, to_provider_error)

    async def aclose(self) -> None:
        if self._token is not None:
            await self._token.aclose()
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        return await self._transport.complete(
            self._path(request), _body(request), request.content_type, await self._authorization()
        )

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        authorization = await self._authorization()
        async with self._transport.stream(
            self._path(request), _body(request), request.content_type, authorization
        ) as chunks:
            yield chunks

    async def _authorization(self) -> Headers:
        return () if self._token is None else (("authorization", f"Bearer {await self._token.get()}"),)

    def _path(self, request: ProviderRequest) -> str:
        if self._api_version is None:
            return f"v1/{request.operation}"
        query = urlencode({"api-version": self._api_version})
        if request.operation not in _DEPLOYMENT_OPERATIONS:
            return f"{request.operation}?{query}"
        return f"deployments/{quote(request.model, safe='')}/{request.operation}?{query}"


def _body(request: ProviderRequest) -> bytes:
    # Azure limits the length of ids, as OpenAI does.
    return without_signatures(request.body) if request.operation is Operation.CHAT else request.body


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float


class _TokenError(msgspec.Struct):
    error: str = ""
    # Numbers such as AADSTS7000215. The description beside them may repeat what the request contained.
    error_codes: list[int] = []


class EntraTokens:
    """Access tokens for one Entra application."""

    def __init__(self, client_secret: str, options: ProviderOptions, timeouts: Timeouts) -> None:
        tenant = quote(options.tenant_id or "", safe="")
        self._url = f"{(options.authority or _AUTHORITY).rstrip('/')}/{tenant}/oauth2/v2.0/token"
        self._form = {
            "grant_type": "client_credentials",
            "client_id": options.client_id or "",
            "client_secret": client_secret,
            "scope": _SCOPE,
        }
        self._timeout = httpx.Timeout(30.0, connect=timeouts.connect_s)

    async def issue(self) -> Issued[str]:
        """Request a token.

        Raises:
            httpx.HTTPError: Entra is unreachable.
            msgspec.DecodeError: Entra's response is not a token.
            PermissionError: Entra rejects the application; the message has Entra's error codes.
        """
        async with httpx.AsyncClient(timeout=self._timeout, trust_env=False) as http:
            response = await http.post(self._url, data=self._form)
        if response.status_code != httpx.codes.OK:
            raise PermissionError(f"Entra responded with status {response.status_code}{_reason(response.content)}")
        token = msgspec.json.decode(response.content, type=_Token)
        return Issued(token.access_token, token.expires_in)


def _reason(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=_TokenError)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    codes = ", ".join(f"AADSTS{code}" for code in error.error_codes)
    return f": {error.error[:100]} {codes}".rstrip()
