"""`/v1/completions`: OpenAI's legacy text completions."""

from typing import Any

import msgspec

from tollgate_edge.credit.cost_bounds import CONTEXT_TOKENS, Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, ResponseStream
from tollgate_edge.endpoints.choices_response import parse_choices_response
from tollgate_edge.http.costly_members import CostlyMembers
from tollgate_edge.http.json_body import (
    ModelName,
    StreamOptions,
    check_limit,
    clean_user,
    decode,
    replaced,
    required,
    upstream_body,
)
from tollgate_edge.providers.base import Operation
from tollgate_edge.providers.error_body import stream_failure
from tollgate_edge.streaming.chat_stream import CUT_OFF_REASON, ChatStream
from tollgate_edge.streaming.sse import BLANK_LINE
from tollgate_edge.usage.token_counting import count_input


class _Request(CostlyMembers):
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


_request_decoder = msgspec.json.Decoder(_Request)


class CompletionRequest(ModelRequest):
    operation = Operation.COMPLETIONS

    def __init__(self, body: bytes) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        request.check_costly_members()
        check_limit(request.max_tokens, "max_tokens")
        self.stream = bool(request.stream)
        self.end_user = clean_user(request.user)
        self.upstream_body = upstream_body(body, request)
        self._request = request
        self._body_bytes = len(body)

    def size(self, context_tokens: int | None) -> Size:
        choices = _count_prompts(self._prompt()) * max(1, self._request.n or 1, self._request.best_of or 1)
        return Size(self._body_bytes, choices, self._request.max_tokens, context_tokens or CONTEXT_TOKENS)

    def limited_body(self, limit_tokens: int) -> bytes:
        return replaced(self.upstream_body, max_tokens=limit_tokens)

    def parse_response(self, body: bytes) -> ParsedResponse:
        return parse_choices_response(self, body, "completion")

    def count_prompt(self) -> int:
        return count_input(self._prompt()) + count_input(self._request.suffix)

    def open_stream(self) -> ResponseStream:
        return CompletionStream(strips_usage=not self._request.includes_usage, to_failure=stream_failure)

    def _prompt(self) -> Any:
        return msgspec.json.decode(self._request.prompt) if self._request.prompt else None


class CompletionStream(ChatStream):
    def truncation_event(self, choices: int) -> bytes:
        chunk = {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self.served_model,
            "choices": [{"index": index, "text": "", "finish_reason": CUT_OFF_REASON} for index in range(choices)],
        }
        return b"data: " + msgspec.json.encode(chunk) + BLANK_LINE


def _count_prompts(prompt: Any) -> int:
    """Return the number of prompts: the length of a list, but 1 for a text or a list of token ids."""
    if not isinstance(prompt, list) or not prompt or isinstance(prompt[0], int):
        return 1
    return len(prompt)


COMPLETIONS = Endpoint("/v1/completions", lambda body, _headers: CompletionRequest(body))
