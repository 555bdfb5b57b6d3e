"""A provider with OpenAI's API or a compatible one. Bodies are forwarded unchanged.

The one exception is the history of a conversation that began at Gemini: OpenAI accepts ids of at most 40 characters.
"""

import re
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from tollgate_edge.http.errors import INVALID_REQUEST, SERVER_ERROR, ProviderError, ProviderFailed, ProviderRefused
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.error_body import OPERATOR_MESSAGE, OPERATOR_STATUSES, ErrorDetails, parse_error_body
from tollgate_edge.providers.http_transport import ErrorResponse, Timeouts, Transport
from tollgate_edge.providers.translators.thought_signatures import without_signatures

_INVALID_KEY = re.compile(
    r"(incorrect|invalid|missing|expired) API key|API key.{0,20} (not valid|invalid|expired)", re.IGNORECASE
)


class OpenAIProvider:
    operations = frozenset(Operation) - {Operation.MESSAGES, Operation.COUNT_TOKENS}
    _limits_ids = True

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, name: str = "openai") -> None:
        """Create the client. It connects when the first request needs a connection.

        Args:
            base_url: URL that ends with the API version: `https://api.openai.com/v1`.
            api_key: the operator's API key.
            timeouts: for connecting and reading.
            name: the provider's name in the catalog.
        """
        self.name = name
        self._transport = Transport(base_url, {"authorization": f"Bearer {api_key}"}, timeouts, to_provider_error)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        return await self._transport.complete(request.operation, self._body(request), request.content_type)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        return self._transport.stream(request.operation, self._body(request), request.content_type)

    def _body(self, request: ProviderRequest) -> bytes:
        if not self._limits_ids or request.operation is not Operation.CHAT:
            return request.body
        return without_signatures(request.body)


def to_provider_error(response: ErrorResponse) -> ProviderError:
    """Convert an error response to OpenAI's format."""
    error = parse_error_body(response.body)
    if is_operators(response, error):
        return operator_error(response)
    return refused_error(response, error)


def is_operators(response: ErrorResponse, error: ErrorDetails) -> bool:
    """Whether an error concerns only the operator and the provider; a redirect is a wrong base URL."""
    # Google and xAI respond with 400 to an invalid key.
    is_key = response.status == HTTPStatus.BAD_REQUEST and _INVALID_KEY.search(error.message) is not None
    is_known = response.status in OPERATOR_STATUSES or error.is_operators
    return is_known or is_key or response.status < HTTPStatus.BAD_REQUEST


def operator_error(response: ErrorResponse) -> ProviderFailed:
    """Return the client's error for a failure that concerns only the operator and the provider."""
    return ProviderFailed(
        HTTPStatus.BAD_GATEWAY,
        OPERATOR_MESSAGE,
        upstream_status=response.status,
        retry_after_s=response.retry_after_s,
    )


def refused_error(response: ErrorResponse, error: ErrorDetails, code: str = "") -> ProviderRefused:
    """Return the client's error with the provider's words.

    Args:
        response: the error response.
        error: its parsed body.
        code: replaces the provider's code.
    """
    status = response.status
    return ProviderRefused(
        status,
        error.message or f"The provider responded with status {status}.",
        error_type=error.type or (SERVER_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else INVALID_REQUEST),
        param=error.param,
        code=code or error.code or None,
        headers=response.headers,
        retry_after_s=response.retry_after_s,
    )
