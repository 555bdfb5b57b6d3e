"""`/v1/chat/completions`: OpenAI's chat completions."""

from collections.abc import Mapping

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.allowance import Size, size_of
from tollgate_edge.delivered import count_answer
from tollgate_edge.endpoints.base import AnswerStream, Endpoint, ModelRequest, Reading, not_an_answer
from tollgate_edge.endpoints.references import check_messages
from tollgate_edge.providers.base import Operation
from tollgate_edge.request import ChatRequest, limited_body, parse_chat, upstream_body
from tollgate_edge.sse import ChatStream
from tollgate_edge.tokens import count_prompt
from tollgate_edge.usage import is_given, parse_usage


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Answer)


class ChatCompletion(ModelRequest):
    operation = Operation.CHAT

    __slots__ = ("_body", "_chat", "end_user", "model", "stream", "upstream_body")

    def __init__(self, body: bytes, model: str, chat: ChatRequest) -> None:
        check_messages(body, chat.messages or [])
        self.model = model
        self.stream = bool(chat.stream)
        self.end_user = chat.end_user
        self.upstream_body = upstream_body(body, chat)
        self._body = body
        self._chat = chat

    def size(self, context_tokens: int | None) -> Size:
        return size_of(self._body, self._chat, context_tokens)

    def limited_body(self, limit_tokens: int) -> bytes:
        return limited_body(self.upstream_body, limit_tokens)

    def read(self, body: bytes) -> Reading:
        try:
            answer = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise not_an_answer("chat completion") from error
        tokens = parse_usage(answer.usage) if is_given(answer.usage) else None
        reasons = [choice.finish_reason for choice in answer.choices if choice.finish_reason]
        return Reading(
            tokens or TokenCounts(input=self.prompt_tokens(), output=count_answer(body)),
            estimated=tokens is None,
            finish_reason=reasons[-1] if reasons else "",
            served_model=answer.model or "",
        )

    def prompt_tokens(self) -> int:
        return count_prompt(self._body)

    def open_stream(self) -> AnswerStream:
        return ChatStream(strips_usage=not self._chat.includes_usage)


def parse(body: bytes, _headers: Mapping[bytes, bytes]) -> ChatCompletion:
    return ChatCompletion(body, *parse_chat(body))


CHAT_COMPLETIONS = Endpoint("/v1/chat/completions", parse)
