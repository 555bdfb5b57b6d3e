"""A provider with Anthropic's Messages API: docs.anthropic.com/en/api/messages.

Requests to Messages are forwarded unchanged; chat completions are translated.
"""

from contextlib import AbstractAsyncContextManager
from functools import partial

from tollgate_edge.http.errors import ProviderError
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.error_body import parse_error_body
from tollgate_edge.providers.http_transport import ErrorResponse, Timeouts, Transport
from tollgate_edge.providers.openai import is_operators, operator_error, refused_error
from tollgate_edge.providers.translators import openai_to_anthropic
from tollgate_edge.providers.translators.base import translate_request_body, translate_response_body, translate_stream
from tollgate_edge.providers.translators.foreign_thinking import without_foreign_thinking

# For translated requests and those without a version: it is the last one that accepts `temperature`.
_VERSION = "2023-06-01"
_PATH = Operation.MESSAGES


class AnthropicProvider:
    operations = frozenset({Operation.CHAT, Operation.COUNT_TOKENS, Operation.MESSAGES})

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, name: str = "anthropic") -> None:
        """Create the client. It connects when the first request needs a connection.

        Args:
            base_url: URL that ends with the API version: `https://api.anthropic.com/v1`.
            api_key: the operator's API key.
            timeouts: for connecting and reading.
            name: the provider's name in the catalog.
        """
        self.name = name
        headers = {"x-api-key": api_key, "anthropic-version": _VERSION}
        self._transport = Transport(base_url, headers, timeouts, to_provider_error)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        if request.operation is not Operation.CHAT:
            body = without_foreign_thinking(request.body)
            return await self._transport.complete(request.operation, body, request.content_type, request.headers)
        body = _translated(request)
        response = await self._transport.complete(_PATH, body, request.content_type)
        return ProviderResponse(
            translate_response_body(response.body, openai_to_anthropic.translate_response), response.content_type
        )

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        if request.operation is Operation.MESSAGES:
            body = without_foreign_thinking(request.body)
            return self._transport.stream(_PATH, body, request.content_type, request.headers)
        body = _translated(request)
        return translate_stream(
            self._transport.stream(_PATH, body, request.content_type),
            openai_to_anthropic.StreamTranslator(),
        )


def _translated(request: ProviderRequest) -> bytes:
    translate = partial(openai_to_anthropic.translate_request, max_output_tokens=request.max_output_tokens)
    return translate_request_body(request.body, translate)


def to_provider_error(response: ErrorResponse) -> ProviderError:
    """Convert an error response. The code is Anthropic's `type`, which is more specific than the status."""
    error = parse_error_body(response.body)
    # Anthropic responds with 400 if the operator's credit is used up.
    if is_operators(response, error) or "credit balance is too low" in error.message:
        return operator_error(response)
    return refused_error(response, error, code=error.type)
