"""Anthropic's Messages API for a provider that has only chat completions.

Requests and responses are translated. Token counts of prompts are computed by the edge.
"""

from contextlib import AbstractAsyncContextManager

import msgspec

from tollgate_edge.providers.base import JSON, Operation, Provider, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.translators import anthropic_to_openai
from tollgate_edge.providers.translators.base import (
    Json,
    translate_request_body,
    translate_response_body,
    translate_stream,
)
from tollgate_edge.providers.translators.shapes import MessagesShape
from tollgate_edge.usage.token_counting import count_prompt


class MessagesViaChat:
    """A provider that adds Anthropic's operations to those of the provider that it wraps."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self.operations = provider.operations | {Operation.MESSAGES, Operation.COUNT_TOKENS}
        self._provider = provider

    async def aclose(self) -> None:
        await self._provider.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        if request.operation is Operation.COUNT_TOKENS:
            return ProviderResponse(_count_tokens(request.body), JSON)
        if request.operation is not Operation.MESSAGES:
            return await self._provider.complete(request)
        response = await self._provider.complete(_as_chat(request))
        return ProviderResponse(translate_response_body(response.body, anthropic_to_openai.translate_response), JSON)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        if request.operation is not Operation.MESSAGES:
            return self._provider.stream(request)
        return translate_stream(self._provider.stream(_as_chat(request)), anthropic_to_openai.StreamTranslator())


def _as_chat(request: ProviderRequest) -> ProviderRequest:
    body = translate_request_body(request.body, anthropic_to_openai.translate_request, MessagesShape)
    return request._replace(operation=Operation.CHAT, body=body)


def _count_tokens(body: bytes) -> bytes:
    """Estimate the tokens of a prompt by counting the chat completion that it is translated to.

    Raises:
        ProviderRefused: 400; the prompt cannot be translated.
    """
    chat = translate_request_body(body, _to_countable_chat, MessagesShape)
    return msgspec.json.encode({"input_tokens": count_prompt(chat)})


def _to_countable_chat(messages: Json) -> Json:
    return anthropic_to_openai.translate_request({"max_tokens": 1} | messages)
