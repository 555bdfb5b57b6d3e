"""A provider with Gemini's generateContent API (ai.google.dev/api/generate-content). Every request is translated."""

from contextlib import AbstractAsyncContextManager
from functools import partial
from urllib.parse import quote

from tollgate_edge.http.errors import ProviderError
from tollgate_edge.providers.base import JSON, Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.error_body import parse_error_body
from tollgate_edge.providers.http_transport import ErrorResponse, Timeouts, Transport
from tollgate_edge.providers.openai import is_operators, operator_error, refused_error
from tollgate_edge.providers.translators import openai_to_gemini
from tollgate_edge.providers.translators.base import translate_request_body, translate_response_body, translate_stream


class GeminiProvider:
    operations = frozenset({Operation.CHAT})

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, name: str = "google") -> None:
        """Create the client. It connects when the first request needs a connection.

        Args:
            base_url: URL that ends with the API version: `https://generativelanguage.googleapis.com/v1beta`.
            api_key: the operator's API key.
            timeouts: for connecting and reading.
            name: the provider's name in the catalog.
        """
        self.name = name
        self._transport = Transport(base_url, {"x-goog-api-key": api_key}, timeouts, to_provider_error)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        body = _translated(request)
        response = await self._transport.complete(_path(request.model, "generateContent"), body, JSON)
        return ProviderResponse(translate_response_body(response.body, openai_to_gemini.translate_response), JSON)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        body = _translated(request)
        path = _path(request.model, "streamGenerateContent?alt=sse")
        return translate_stream(self._transport.stream(path, body, JSON), openai_to_gemini.StreamTranslator())


def _translated(request: ProviderRequest) -> bytes:
    translate = partial(openai_to_gemini.translate_request, max_output_tokens=request.max_output_tokens)
    return translate_request_body(request.body, translate)


def _path(model: str, method: str) -> str:
    # The operator chooses the name. It is quoted anyway, so that it cannot change the path.
    return f"models/{quote(model, safe='')}:{method}"


def to_provider_error(response: ErrorResponse) -> ProviderError:
    """Convert an error response; `code` is Google's status name."""
    error = parse_error_body(response.body)
    if is_operators(response, error):
        return operator_error(response)
    return refused_error(response, error)
