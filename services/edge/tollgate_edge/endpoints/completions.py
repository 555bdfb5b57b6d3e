"""`/v1/completions`: texts that are continued."""

from typing import Any

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.allowance import CONTEXT_TOKENS, Size
from tollgate_edge.delivered import count_answer
from tollgate_edge.endpoints.base import AnswerStream, Endpoint, ModelRequest, Reading, not_an_answer
from tollgate_edge.framing import BLANK_LINE
from tollgate_edge.providers.base import Operation
from tollgate_edge.request import ModelName, StreamOptions, clean_user, decode, replaced, required, upstream_body
from tollgate_edge.sse import CUT_OFF_REASON, ChatStream
from tollgate_edge.tokens import count_input
from tollgate_edge.usage import is_given, parse_usage


class _Request(msgspec.Struct):
    model: ModelName | None = None
    prompt: msgspec.Raw = msgspec.Raw()
    suffix: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    user: str | None = None
    n: int | None = None
    best_of: int | None = None
    max_tokens: int | None = None

    @property
    def includes_usage(self) -> bool:
        return isinstance(self.stream_options, StreamOptions) and self.stream_options.include_usage is True


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


_request_decoder = msgspec.json.Decoder(_Request)
_answer_decoder = msgspec.json.Decoder(_Answer)


class Completion(ModelRequest):
    operation = Operation.COMPLETIONS

    def __init__(self, body: bytes) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        self.stream = bool(request.stream)
        self.end_user = clean_user(request.user)
        self.upstream_body = upstream_body(body, request)
        self._request = request
        self._body_bytes = len(body)

    def size(self, context_tokens: int | None) -> Size:
        limit = self._request.max_tokens
        choices = _prompts(self._prompt()) * max(1, self._request.n or 1, self._request.best_of or 1)
        return Size(
            self._body_bytes, choices, None if limit is None else max(0, limit), context_tokens or CONTEXT_TOKENS
        )

    def limited_body(self, limit_tokens: int) -> bytes:
        return replaced(self.upstream_body, max_tokens=limit_tokens)

    def read(self, body: bytes) -> Reading:
        try:
            answer = _answer_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise not_an_answer("completion") from error
        tokens = parse_usage(answer.usage) if is_given(answer.usage) else None
        reasons = [choice.finish_reason for choice in answer.choices if choice.finish_reason]
        return Reading(
            tokens or TokenCounts(input=self.prompt_tokens(), output=count_answer(body)),
            estimated=tokens is None,
            finish_reason=reasons[-1] if reasons else "",
            served_model=answer.model or "",
        )

    def prompt_tokens(self) -> int:
        return count_input(self._prompt()) + count_input(self._request.suffix)

    def open_stream(self) -> AnswerStream:
        return CompletionStream(strips_usage=not self._request.includes_usage)

    def _prompt(self) -> Any:
        return msgspec.json.decode(self._request.prompt) if self._request.prompt else None


class CompletionStream(ChatStream):
    def cut_event(self, choices: int) -> bytes:
        chunk = {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self.served_model,
            "choices": [{"index": index, "text": "", "finish_reason": CUT_OFF_REASON} for index in range(choices)],
        }
        return b"data: " + msgspec.json.encode(chunk) + BLANK_LINE


def _prompts(prompt: Any) -> int:
    """How many texts are continued: one, unless it is a list that is no list of tokens."""
    if not isinstance(prompt, list) or not prompt or isinstance(prompt[0], int):
        return 1
    return len(prompt)


COMPLETIONS = Endpoint("/v1/completions", lambda body, _headers: Completion(body))
