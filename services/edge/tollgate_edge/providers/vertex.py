"""A provider with Google Cloud's Vertex AI: Gemini, and Claude with Anthropic's Messages.

| model | method | format |
|---|---|---|
| `publishers/google/models/…` | `generateContent`, `streamGenerateContent` | Gemini's |
| `publishers/anthropic/models/…` | `rawPredict`, `streamRawPredict` | Messages, with the version in the body |

Sources: cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference,
docs.anthropic.com/en/api/claude-on-vertex-ai, github.com/anthropics/anthropic-sdk-python (`lib/vertex/_client.py`),
google-auth.readthedocs.io.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from tollgate_edge.providers import anthropic, gemini
from tollgate_edge.providers.base import JSON, Headers, Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.http_transport import Timeouts, Transport
from tollgate_edge.providers.messages_via_chat import MessagesViaChat
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.providers.renewal import Issued, RenewedCredential
from tollgate_edge.providers.translators import openai_to_anthropic, openai_to_gemini
from tollgate_edge.providers.translators.base import (
    Json,
    translate_request_body,
    translate_response_body,
    translate_stream,
)

_ANTHROPIC_VERSION = "vertex-2023-10-16"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_KEY_FIELDS = ("client_email", "private_key", "token_uri")
_GOOGLE = "publishers/google/models/"
_CLAUDE = "publishers/anthropic/models/"
# Vertex has accepted the ids of function calls since Gemini 3: github.com/BerriAI/litellm/pull/34603.
_WITHOUT_CALL_IDS = ("gemini-1", "gemini-2")
_MULTI_REGIONS = ("us", "eu")
_MIN_LIFETIME_S = 30.0

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class VertexProvider:
    operations = frozenset({Operation.CHAT, Operation.MESSAGES, Operation.COUNT_TOKENS})

    def __init__(
        self, base_url: str, key: str, timeouts: Timeouts, options: ProviderOptions, *, name: str = "vertex"
    ) -> None:
        """Create the client. It connects when the first request needs a connection.

        Args:
            base_url: URL that ends with the API version: `https://us-east5-aiplatform.googleapis.com/v1`.
            key: a service account's key, as JSON; empty for the credentials of the machine.
            timeouts: for connecting and reading.
            options: `project` and `region`.
            name: the provider's name in the catalog.
        """
        self.name = name
        self._location = f"projects/{quote(options.project or '', safe='')}/locations/{options.region}"
        self._token = RenewedCredential("a Google access token for Vertex", GoogleTokens(key).issue)
        self._transport = Transport(base_url, {}, timeouts, gemini.to_provider_error)
        self._claude_transport = Transport(base_url, {}, timeouts, anthropic.to_provider_error)
        self._gemini_messages = MessagesViaChat(self)

    async def aclose(self) -> None:
        await self._token.aclose()
        await self._transport.aclose()
        await self._claude_transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        model = model_path(request.model)
        if model.startswith(_CLAUDE):
            return await self._complete_claude(request, model)
        if request.operation is not Operation.CHAT:
            return await self._gemini_messages.complete(request)
        body = _to_gemini(request, model)
        path = f"{self._location}/{model}:generateContent"
        response = await self._transport.complete(path, body, JSON, await self._authorization())
        return ProviderResponse(translate_response_body(response.body, openai_to_gemini.translate_response), JSON)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        model = model_path(request.model)
        if model.startswith(_CLAUDE):
            return self._stream_claude(request, f"{model}:streamRawPredict")
        if request.operation is not Operation.CHAT:
            return self._gemini_messages.stream(request)
        stream = self._stream(self._transport, f"{model}:streamGenerateContent?alt=sse", _to_gemini(request, model))
        return translate_stream(stream, openai_to_gemini.StreamTranslator())

    async def _complete_claude(self, request: ProviderRequest, model: str) -> ProviderResponse:
        is_chat = request.operation is Operation.CHAT
        if request.operation is Operation.COUNT_TOKENS:
            # This method takes the model from the body, by its name alone.
            path = f"{self._location}/{_CLAUDE}count-tokens:rawPredict"
            body = _to_claude(request.body, model=model.removeprefix(_CLAUDE))
        else:
            path = f"{self._location}/{model}:rawPredict"
            body = _to_claude(_as_messages(request) if is_chat else request.body)
        headers = (() if is_chat else _forwarded(request)) + await self._authorization()
        response = await self._claude_transport.complete(path, body, JSON, headers)
        if not is_chat:
            return response
        return ProviderResponse(translate_response_body(response.body, openai_to_anthropic.translate_response), JSON)

    def _stream_claude(self, request: ProviderRequest, path: str) -> AbstractAsyncContextManager[ResponseChunks]:
        if request.operation is not Operation.CHAT:
            return self._stream(self._claude_transport, path, _to_claude(request.body), _forwarded(request))
        stream = self._stream(self._claude_transport, path, _to_claude(_as_messages(request)))
        return translate_stream(stream, openai_to_anthropic.StreamTranslator())

    @asynccontextmanager
    async def _stream(
        self, transport: Transport, path: str, body: bytes, headers: Headers = ()
    ) -> AsyncIterator[ResponseChunks]:
        headers += await self._authorization()
        async with transport.stream(f"{self._location}/{path}", body, JSON, headers) as chunks:
            yield chunks

    async def _authorization(self) -> Headers:
        return (("authorization", f"Bearer {await self._token.get()}"),)


def regional_url(region: str) -> str:
    """Return the default URL, as in Anthropic's SDK."""
    if region == "global":
        return "https://aiplatform.googleapis.com/v1"
    if region in _MULTI_REGIONS:
        return f"https://aiplatform.{region}.rep.googleapis.com/v1"
    return f"https://{region}-aiplatform.googleapis.com/v1"


def model_path(model: str) -> str:
    """Return the path of a model: `publishers/{publisher}/models/{name}`. The publisher may be left out."""
    if not model.startswith("publishers/"):
        model = f"{_CLAUDE if model.startswith('claude') else _GOOGLE}{model}"
    # The operator chooses the name. It is quoted anyway, so that it cannot change the path.
    return quote(model, safe="/@")


def _to_gemini(request: ProviderRequest, model: str) -> bytes:
    def translate(chat: Json) -> Json:
        made = openai_to_gemini.translate_request(chat, max_output_tokens=request.max_output_tokens)
        return _without_call_ids(made) if model.removeprefix(_GOOGLE).startswith(_WITHOUT_CALL_IDS) else made

    # The translation knows models by their plain names.
    return translate_request_body(request.with_model(model.removeprefix(_GOOGLE)).body, translate)


def _without_call_ids(generate: Json) -> Json:
    for content in generate["contents"]:
        for part in content["parts"]:
            for name in ("functionCall", "functionResponse"):
                if name in part:
                    part[name].pop("id", None)
    return generate


def _as_messages(request: ProviderRequest) -> bytes:
    translate = partial(openai_to_anthropic.translate_request, max_output_tokens=request.max_output_tokens)
    name = request.model.removeprefix(_CLAUDE)
    return translate_request_body(request.with_model(name).body, translate)


def _to_claude(body: bytes, model: str | None = None) -> bytes:
    """Return a request to Messages in Vertex's form."""
    members: dict[str, Any] = dict(_object_decoder.decode(body))
    members.pop("model", None)
    # The beta features are in the header, which the edge has checked.
    members.pop("anthropic_beta", None)
    members["anthropic_version"] = _ANTHROPIC_VERSION
    return msgspec.json.encode(members if model is None else {"model": model} | members)


def _forwarded(request: ProviderRequest) -> Headers:
    # The version in the body takes the header's place.
    return tuple(header for header in request.headers if header[0].lower() != "anthropic-version")


def find_problem(key: str, _options: ProviderOptions) -> str | None:
    """Return what is wrong with a key, or that a package is missing. The text never contains the key."""
    try:
        import google.auth  # noqa: F401
    except ImportError:
        return "protocol vertex requires the package google-auth; install tollgate-edge[vertex]"
    if not key:
        return None
    problem = "the key is not a service account's key; expected JSON with client_email, private_key and token_uri"
    try:
        info = msgspec.json.decode(key, type=dict[str, Any])
        GoogleTokens(key)
    except (ValueError, msgspec.DecodeError):
        return problem
    return None if all(isinstance(info.get(name), str) for name in _KEY_FIELDS) else problem


class _Credentials(Protocol):
    token: str | None
    expiry: dt.datetime | None

    def refresh(self, request: Any) -> None: ...


class GoogleTokens:
    """Access tokens of a service account, or of the machine's identity. google-auth blocks, so it runs in a thread."""

    def __init__(self, key: str) -> None:
        """Parse the key.

        Raises:
            ValueError: the key is invalid.
        """
        self._credentials: _Credentials | None = None
        if key:
            from google.oauth2 import service_account

            info = msgspec.json.decode(key, type=dict[str, Any])
            self._credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                info, scopes=[_SCOPE]
            )

    async def issue(self) -> Issued[str]:
        return await asyncio.to_thread(self._issue)

    def _issue(self) -> Issued[str]:
        import google.auth
        import urllib3
        from google.auth.transport.urllib3 import Request

        with urllib3.PoolManager() as http:
            request = Request(http)  # type: ignore[no-untyped-call]
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE], request=request)
            self._credentials.refresh(request)
        token, expiry = self._credentials.token, self._credentials.expiry
        if not token:
            raise ValueError("google-auth returned no token")
        if expiry is None:
            return Issued(token, _MIN_LIFETIME_S)
        # google-auth states the expiry in UTC, without a time zone.
        now = dt.datetime.now(dt.UTC)
        return Issued(token, max(_MIN_LIFETIME_S, (expiry.replace(tzinfo=dt.UTC) - now).total_seconds()))
