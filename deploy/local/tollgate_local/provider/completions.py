"""`POST /v1/completions`: texts that are continued, with OpenAI's chunks and usage."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec

from tollgate_local.provider.behavior import find_behavior
from tollgate_local.provider.decoding import decode
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.generation import Generation, generate
from tollgate_local.provider.http_exchange import HttpExchange
from tollgate_local.provider.models import model_for
from tollgate_local.provider.prefix_cache import PrefixCache
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.render import DONE
from tollgate_local.provider.request import ChatRequest, Count, Message, StreamOptions
from tollgate_local.provider.usage import Usage, build_usage

_DEFAULT_TOKENS: Final = 16
_encode: Final = msgspec.json.Encoder().encode


class CompletionRequest(msgspec.Struct):
    model: str
    prompt: str | list[str]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None

    def as_chat(self) -> ChatRequest:
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        return ChatRequest(
            model=self.model,
            messages=[Message(role="user", content=prompt) for prompt in prompts],
            max_tokens=self.max_tokens or _DEFAULT_TOKENS,
            n=(self.n or 1) * len(prompts),
        )


_DECODER: Final = msgspec.json.Decoder(CompletionRequest)


class CompletionEndpoint:
    def __init__(self, recorder: Recorder, prefixes: PrefixCache) -> None:
        self._recorder = recorder
        self._prefixes = prefixes

    async def __call__(self, exchange: HttpExchange) -> None:
        body = await exchange.body()
        request = decode(_DECODER, body)
        model = model_for("completions", request.model)
        streaming = bool(request.stream)
        behavior = find_behavior(body)
        await check_error(exchange, behavior, streaming=streaming)
        generation = generate(request.as_chat(), model, self._prefixes, behavior.tokens)
        usage = build_usage(generation, behavior.usage_fault)
        shows_usage = request.stream_options is not None and bool(request.stream_options.include_usage)
        rendering = Rendering(
            lambda: _whole(generation, usage),
            content=_content(generation),
            closing=_closing(generation, usage if shows_usage else None),
            last=DONE,
        )
        await deliver(exchange, self._recorder, generation, rendering, behavior, streaming=streaming)


def _envelope(generation: Generation) -> dict[str, Any]:
    envelope = {"id": generation.id.replace("chatcmpl", "cmpl"), "object": "text_completion"}
    return envelope | {"created": generation.created, "model": generation.model}


def _whole(generation: Generation, usage: Usage | None) -> bytes:
    choices = [
        {"text": choice.text, "index": index, "logprobs": None, "finish_reason": choice.finish_reason}
        for index, choice in enumerate(generation.choices)
    ]
    stated = {} if usage is None else {"usage": usage}
    return _encode(_envelope(generation) | {"choices": choices} | stated)


def _chunk(generation: Generation, index: int, text: str, finish_reason: str | None) -> bytes:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}
    return b"data: %b\n\n" % _encode(_envelope(generation) | {"choices": [choice]})


def _content(generation: Generation) -> Iterator[tuple[bytes, int]]:
    for index, choice in enumerate(generation.choices):
        for piece in choice.token_texts:
            yield _chunk(generation, index, piece, None), 1


def _closing(generation: Generation, usage: Usage | None) -> Iterator[bytes]:
    for index, choice in enumerate(generation.choices):
        yield _chunk(generation, index, "", choice.finish_reason)
    if usage is not None:
        yield b"data: %b\n\n" % _encode(_envelope(generation) | {"choices": [], "usage": usage})
