"""A provider that speaks OpenAI's protocol, or one compatible with it: bodies are passed on as they are."""

from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

import msgspec

from tollgate_edge.http.errors import INVALID_REQUEST, SERVER_ERROR, ProviderError, ProviderFailed, ProviderRefused
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.error_body import parse_error
from tollgate_edge.providers.http_transport import ErrorResponse, Timeouts, Transport

# What these tell is between the operator and the provider; passed on, it would tell a customer that his own key is
# wrong or his own credit spent.
OPERATOR_STATUSES = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}
_OPERATORS_QUOTA = "insufficient_quota"


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class OpenAIProvider:
    operations = frozenset(Operation) - {Operation.MESSAGES, Operation.COUNT_TOKENS}

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, name: str = "openai") -> None:
        """Connections are made when they are needed.

        Args:
            base_url: ends with the API's version: `https://api.openai.com/v1`.
            api_key: the operator's.
            timeouts: how long to wait for it.
            name: as the catalogue calls it.
        """
        self.name = name
        self._transport = Transport(base_url, {"authorization": f"Bearer {api_key}"}, timeouts, to_provider_error)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        return await self._transport.complete(request.operation, request.body, request.content_type)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        return self._transport.stream(request.operation, request.body, request.content_type)


def to_provider_error(answer: ErrorResponse) -> ProviderError:
    """A provider's error, in OpenAI's shape whatever its own was."""
    status = answer.status
    error = parse_error(answer.body, _Error)
    if status in OPERATOR_STATUSES or error.code == _OPERATORS_QUOTA or status < HTTPStatus.BAD_REQUEST:
        return operator_error(answer)
    return ProviderRefused(
        status,
        error.message or f"The provider answered with status {status}.",
        error_type=error.type or (SERVER_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else INVALID_REQUEST),
        param=error.param,
        code=None if error.code is None else str(error.code),
        headers=answer.headers,
        retry_after_s=answer.retry_after_s,
    )


def operator_error(answer: ErrorResponse) -> ProviderFailed:
    """What the client is told of an error that is between the operator and the provider."""
    return ProviderFailed(
        HTTPStatus.BAD_GATEWAY,
        "The provider did not accept this gateway's request.",
        upstream_status=answer.status,
        retry_after_s=answer.retry_after_s,
    )
