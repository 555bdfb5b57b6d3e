"""A provider that speaks Gemini's generateContent (ai.google.dev/api/generate-content), all of it translate_stream."""

from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from urllib.parse import quote

import msgspec

from tollgate_edge.http.errors import INVALID_REQUEST, SERVER_ERROR, ProviderError, ProviderRefused
from tollgate_edge.providers.base import JSON, Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.error_body import parse_error
from tollgate_edge.providers.http_transport import ErrorResponse, Timeouts, Transport
from tollgate_edge.providers.openai import OPERATOR_STATUSES, operator_error
from tollgate_edge.providers.translators import openai_to_gemini
from tollgate_edge.providers.translators.base import translate_request_body, translate_response_body, translate_stream


class _Error(msgspec.Struct):
    message: str | None = None
    status: str | None = None


class GeminiProvider:
    operations = frozenset({Operation.CHAT})

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, name: str = "google") -> None:
        """Connections are made when they are needed.

        Args:
            base_url: ends with the API's version: `https://generativelanguage.googleapis.com/v1beta`.
            api_key: the operator's.
            timeouts: how long to wait for it.
            name: as the catalogue calls it.
        """
        self.name = name
        self._transport = Transport(base_url, {"x-goog-api-key": api_key}, timeouts, to_provider_error)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        body = translate_request_body(request.body, openai_to_gemini.translate_request)
        answer = await self._transport.complete(_path(request.model, "generateContent"), body, JSON)
        return ProviderResponse(translate_response_body(answer.body, openai_to_gemini.translate_response), JSON)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        body = translate_request_body(request.body, openai_to_gemini.translate_request)
        path = _path(request.model, "streamGenerateContent?alt=sse")
        return translate_stream(self._transport.stream(path, body, JSON), openai_to_gemini.StreamTranslator())


def _path(model: str, method: str) -> str:
    # A name is the operator's or the catalogue's, and still must not lead elsewhere.
    return f"models/{quote(model, safe='')}:{method}"


def to_provider_error(answer: ErrorResponse) -> ProviderError:
    """A provider's error; `code` is Google's word for it."""
    status = answer.status
    error = parse_error(answer.body, _Error)
    # Google answers 400 to a key that is wrong.
    is_key = error.message is not None and "API key" in error.message
    if status in OPERATOR_STATUSES or is_key or status < HTTPStatus.BAD_REQUEST:
        return operator_error(answer)
    return ProviderRefused(
        status,
        error.message or f"The provider answered with status {status}.",
        error_type=INVALID_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else SERVER_ERROR,
        param=None,
        code=error.status.lower() if error.status else None,
        headers=answer.headers,
        retry_after_s=answer.retry_after_s,
    )
