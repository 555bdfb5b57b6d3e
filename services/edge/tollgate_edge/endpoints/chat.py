"""`/v1/chat/completions`: OpenAI's chat completions API."""

from collections.abc import Mapping

from tollgate_edge.credit.cost_bounds import Size, size_of
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, ResponseStream
from tollgate_edge.endpoints.choices_response import parse_choices_response
from tollgate_edge.endpoints.validation.metered_features import check_chat_tools
from tollgate_edge.endpoints.validation.prompt_cache import check_prompt_cache
from tollgate_edge.endpoints.validation.references import check_messages
from tollgate_edge.http.json_body import ChatRequest, limited_body, parse_chat, replaced, upstream_body
from tollgate_edge.providers.base import Operation
from tollgate_edge.providers.error_body import stream_failure
from tollgate_edge.streaming.chat_stream import ChatStream
from tollgate_edge.usage.token_counting import count_prompt


class ChatCompletionRequest(ModelRequest):
    operation = Operation.CHAT

    __slots__ = ("_body", "_chat", "end_user", "model", "stream", "upstream_body")

    def __init__(self, body: bytes, model: str, chat: ChatRequest) -> None:
        check_messages(body, chat.messages or [])
        check_prompt_cache(body)
        check_chat_tools(chat.tools)
        self.model = model
        self.stream = bool(chat.stream)
        self.end_user = chat.end_user
        self.upstream_body = upstream_body(replaced(body, store=False) if chat.store else body, chat)
        self._body = body
        self._chat = chat

    def size(self, context_tokens: int | None) -> Size:
        return size_of(self._body, self._chat, context_tokens)

    def limited_body(self, limit_tokens: int) -> bytes:
        return limited_body(self.upstream_body, limit_tokens)

    def parse_response(self, body: bytes) -> ParsedResponse:
        return parse_choices_response(self, body, "chat completion")

    def count_prompt(self) -> int:
        return count_prompt(self._body)

    def open_stream(self) -> ResponseStream:
        return ChatStream(strips_usage=not self._chat.includes_usage, to_failure=stream_failure)


def parse(body: bytes, _headers: Mapping[bytes, bytes]) -> ChatCompletionRequest:
    return ChatCompletionRequest(body, *parse_chat(body))


CHAT_COMPLETIONS = Endpoint("/v1/chat/completions", parse)
