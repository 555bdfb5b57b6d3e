"""Messages for a provider that only has chat completions: each request and answer is translated on its way, and a
prompt's tokens are counted here."""

from contextlib import AbstractAsyncContextManager

import msgspec

from tollgate_edge.providers.base import JSON, Answer, AnswerChunks, Operation, Provider, ProviderRequest
from tollgate_edge.providers.translators import anthropic_to_openai as messages_to_chat
from tollgate_edge.providers.translators.base import Json, translated, translated_answer, translated_request
from tollgate_edge.providers.translators.shapes import MessagesShape
from tollgate_edge.usage.token_counting import count_prompt


class MessagesOverChat:
    """A provider with Anthropic's operations too, beside those of the one that it stands before."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self.operations = provider.operations | {Operation.MESSAGES, Operation.COUNT_TOKENS}
        self._provider = provider

    async def aclose(self) -> None:
        await self._provider.aclose()

    async def complete(self, request: ProviderRequest) -> Answer:
        if request.operation is Operation.COUNT_TOKENS:
            return Answer(_counted(request.body), JSON)
        if request.operation is not Operation.MESSAGES:
            return await self._provider.complete(request)
        answer = await self._provider.complete(_as_chat(request))
        return Answer(translated_answer(answer.body, messages_to_chat.answer), JSON)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[AnswerChunks]:
        if request.operation is not Operation.MESSAGES:
            return self._provider.stream(request)
        return translated(self._provider.stream(_as_chat(request)), messages_to_chat.Events())


def _as_chat(request: ProviderRequest) -> ProviderRequest:
    body = translated_request(request.body, messages_to_chat.request, MessagesShape)
    return request._replace(operation=Operation.CHAT, body=body)


def _counted(body: bytes) -> bytes:
    """An estimate: the tokens that the chat has in which the prompt is sent.

    Raises:
        ProviderRefused: 400, as for the prompt itself.
    """
    chat = translated_request(body, _chat_to_count, MessagesShape)
    return msgspec.json.encode({"input_tokens": count_prompt(chat)})


def _chat_to_count(messages: Json) -> Json:
    return messages_to_chat.request({"max_tokens": 1} | messages)
