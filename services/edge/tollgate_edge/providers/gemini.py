"""A provider that speaks Gemini's generateContent (ai.google.dev/api/generate-content), all of it translated."""

from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from urllib.parse import quote

import msgspec

from tollgate_edge.http.errors import INVALID_REQUEST, SERVER_ERROR, ProviderError, ProviderRefused
from tollgate_edge.providers.base import JSON, Answer, AnswerChunks, Operation, ProviderRequest
from tollgate_edge.providers.error_body import told_error
from tollgate_edge.providers.http_transport import ErrorAnswer, Timeouts, Transport
from tollgate_edge.providers.openai import OPERATORS_OWN, not_accepted
from tollgate_edge.providers.translators import openai_to_gemini as chat_to_gemini
from tollgate_edge.providers.translators.base import translated, translated_answer, translated_request


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
        self._transport = Transport(base_url, {"x-goog-api-key": api_key}, timeouts, refusal)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> Answer:
        body = translated_request(request.body, chat_to_gemini.request)
        answer = await self._transport.complete(_path(request.model, "generateContent"), body, JSON)
        return Answer(translated_answer(answer.body, chat_to_gemini.answer), JSON)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[AnswerChunks]:
        body = translated_request(request.body, chat_to_gemini.request)
        path = _path(request.model, "streamGenerateContent?alt=sse")
        return translated(self._transport.stream(path, body, JSON), chat_to_gemini.Events())


def _path(model: str, method: str) -> str:
    # A name is the operator's or the catalogue's, and still must not lead elsewhere.
    return f"models/{quote(model, safe='')}:{method}"


def refusal(answer: ErrorAnswer) -> ProviderError:
    """A provider's error; `code` is Google's word for it."""
    status = answer.status
    error = told_error(answer.body, _Error)
    # Google answers 400 to a key that is wrong.
    is_key = error.message is not None and "API key" in error.message
    if status in OPERATORS_OWN or is_key or status < HTTPStatus.BAD_REQUEST:
        return not_accepted(answer)
    return ProviderRefused(
        status,
        error.message or f"The provider answered with status {status}.",
        error_type=INVALID_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else SERVER_ERROR,
        param=None,
        code=error.status.lower() if error.status else None,
        headers=answer.headers,
        retry_after_s=answer.retry_after_s,
    )
