"""Anthropic's Messages API for a provider that has only OpenAI's APIs.

Requests and responses are translated: to Responses for OpenAI's models that reason, to chat completions for all others.
Token counts of prompts are computed by the edge.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import msgspec

from tollgate_edge.providers.base import JSON, Operation, Provider, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.translators import anthropic_to_openai, anthropic_to_responses
from tollgate_edge.providers.translators.base import (
    EventTranslator,
    Json,
    translate_request_body,
    translate_response_body,
    translate_stream,
)
from tollgate_edge.providers.translators.messages_context import PLAIN, Dialect, MessagesContext
from tollgate_edge.providers.translators.shapes import MessagesShape
from tollgate_edge.usage.token_counting import count_prompt


class MessagesViaChat:
    """A provider that adds Anthropic's operations to those of the provider that it wraps."""

    def __init__(self, provider: Provider, dialect: Dialect = PLAIN) -> None:
        """Wrap a provider.

        Args:
            provider: serves chat completions, and Responses if the dialect says so.
            dialect: what its chat completions accept.
        """
        self.name = provider.name
        self.operations = provider.operations | {Operation.MESSAGES, Operation.COUNT_TOKENS}
        self._provider = provider
        self._dialect = dialect

    async def aclose(self) -> None:
        await self._provider.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        if request.operation is Operation.COUNT_TOKENS:
            return ProviderResponse(_count_tokens(request.body), JSON)
        if request.operation is not Operation.MESSAGES:
            return await self._provider.complete(request)
        translation = _Translation(request, self._dialect)
        response = await self._provider.complete(translation.request)
        return ProviderResponse(translate_response_body(response.body, translation.translate_response), JSON)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        if request.operation is not Operation.MESSAGES:
            return self._provider.stream(request)
        translation = _Translation(request, self._dialect)
        return translate_stream(self._provider.stream(translation.request), translation.create_translator())


class _Translation:
    """One request, translated to the API that serves its model, and the translation of the response back."""

    def __init__(self, request: ProviderRequest, dialect: Dialect) -> None:
        """Translate the request.

        Raises:
            ProviderRefused: 400; it cannot be translated.
        """
        context = MessagesContext(dialect, request.max_output_tokens)
        is_responses = dialect.has_responses and request.reasons and anthropic_to_responses.serves(request.model)
        translator = anthropic_to_responses if is_responses else anthropic_to_openai
        operation = Operation.RESPONSES if is_responses else Operation.CHAT
        translate = partial(translator.translate_request, context=context)
        self.request = request._replace(
            operation=operation, body=translate_request_body(request.body, translate, MessagesShape)
        )
        self.translate_response: Callable[[Json], Json] = partial(translator.translate_response, context=context)
        self.create_translator: Callable[[], EventTranslator] = partial(translator.StreamTranslator, context)


def _count_tokens(body: bytes) -> bytes:
    """Estimate the tokens of a prompt by counting the chat completion that it is translated to.

    Raises:
        ProviderRefused: 400; the prompt cannot be translated.
    """
    chat = translate_request_body(body, _to_countable_chat, MessagesShape)
    return msgspec.json.encode({"input_tokens": count_prompt(chat)})


def _to_countable_chat(messages: Json) -> Json:
    return anthropic_to_openai.translate_request({"max_tokens": 1} | messages)
