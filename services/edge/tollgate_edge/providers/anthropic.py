"""A provider that speaks Anthropic's Messages: docs.anthropic.com/en/api/messages. Messages are passed on as they are,
chat completions are translate_stream.
"""

from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

import msgspec

from tollgate_edge.http.errors import INVALID_REQUEST, SERVER_ERROR, ProviderError, ProviderRefused
from tollgate_edge.providers.base import Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.error_body import parse_error
from tollgate_edge.providers.http_transport import ErrorResponse, Timeouts, Transport
from tollgate_edge.providers.openai import OPERATOR_STATUSES, operator_error
from tollgate_edge.providers.translators import openai_to_anthropic
from tollgate_edge.providers.translators.base import translate_request_body, translate_response_body, translate_stream

# Of requests that are translate_stream, and of those that name none: it still takes `temperature`.
_VERSION = "2023-06-01"
_PATH = Operation.MESSAGES
_OVERLOADED = 529


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None


class AnthropicProvider:
    operations = frozenset({Operation.CHAT, Operation.COUNT_TOKENS, Operation.MESSAGES})

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, name: str = "anthropic") -> None:
        """Connections are made when they are needed.

        Args:
            base_url: ends with the API's version: `https://api.anthropic.com/v1`.
            api_key: the operator's.
            timeouts: how long to wait for it.
            name: as the catalogue calls it.
        """
        self.name = name
        headers = {"x-api-key": api_key, "anthropic-version": _VERSION}
        self._transport = Transport(base_url, headers, timeouts, to_provider_error)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        if request.operation is not Operation.CHAT:
            return await self._transport.complete(
                request.operation, request.body, request.content_type, request.headers
            )
        body = translate_request_body(request.body, openai_to_anthropic.translate_request)
        answer = await self._transport.complete(_PATH, body, request.content_type)
        return ProviderResponse(
            translate_response_body(answer.body, openai_to_anthropic.translate_response), answer.content_type
        )

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        if request.operation is Operation.MESSAGES:
            return self._transport.stream(_PATH, request.body, request.content_type, request.headers)
        body = translate_request_body(request.body, openai_to_anthropic.translate_request)
        return translate_stream(
            self._transport.stream(_PATH, body, request.content_type),
            openai_to_anthropic.StreamTranslator(),
        )


def to_provider_error(answer: ErrorResponse) -> ProviderError:
    """A provider's error; `type` stays Anthropic's word for it, which says more than the status."""
    status = answer.status
    error = parse_error(answer.body, _Error)
    # Anthropic answers 400 when the operator's credit is spent.
    is_credit = error.message is not None and "credit balance is too low" in error.message
    if status in OPERATOR_STATUSES or is_credit or status < HTTPStatus.BAD_REQUEST:
        return operator_error(answer)
    kind = INVALID_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else SERVER_ERROR
    refused = ProviderRefused(
        # OpenAI's clients know no 529.
        HTTPStatus.SERVICE_UNAVAILABLE if status == _OVERLOADED else status,
        error.message or f"The provider answered with status {status}.",
        error_type=error.type or kind,
        param=None,
        code=error.type,
        headers=answer.headers,
        retry_after_s=answer.retry_after_s,
    )
    refused.upstream_status = status
    return refused
