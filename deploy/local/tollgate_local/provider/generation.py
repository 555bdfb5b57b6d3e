"""Generation of responses: text, tool calls and exact token counts. Equal requests get equal texts."""

import json
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from uuid import uuid4

import msgspec

from tollgate_local.provider.errors import invalid_value
from tollgate_local.provider.models import Model
from tollgate_local.provider.prefix_cache import MIN_CACHED_TOKENS, PrefixCache
from tollgate_local.provider.prose import passage
from tollgate_local.provider.request import ChatRequest, NamedTool
from tollgate_local.provider.schema import example_value
from tollgate_local.provider.tokens import count_tokens, message_tokens, preamble_tokens, split_tokens

# Reasoning is a multiple of 64 tokens, as in the o-series. The effort sets the minimum; the seed adds up to four steps.
_REASONING_STEP: Final = 64
_MIN_REASONING: Final = {
    "none": 0,
    "minimal": 0,
    "low": 64,
    "medium": 192,
    "high": 512,
    "xhigh": 1_024,
    "max": 2_048,
}


@dataclass(frozen=True, slots=True)
class Call:
    """The id and name of a tool call. Its arguments are the tokens of the choice."""

    id: str
    name: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice. `token_texts` is its text, or the arguments of its tool call, with one element per token."""

    token_texts: tuple[str, ...]
    finish_reason: str
    reasoning_tokens: int = 0
    call: Call | None = None

    @property
    def text(self) -> str:
        return "".join(self.token_texts)

    @property
    def visible_tokens(self) -> int:
        return len(self.token_texts) + (self.call.tokens if self.call else 0)


@dataclass(frozen=True, slots=True)
class Generation:
    """A generated response. Token counts are totals of all choices."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    prompt_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    visible_tokens: int
    cache_write_tokens: int = 0

    @property
    def completion_tokens(self) -> int:
        return self.reasoning_tokens + self.visible_tokens


def generate(request: ChatRequest, model: Model, prefixes: PrefixCache, tokens: int | None) -> Generation:
    """Generate a response whose text has exactly `tokens` tokens, if given.

    Raises `ApiError` 400 if the prompt exceeds the context.
    """
    preamble = preamble_tokens(request)
    counts = [message_tokens(message) for message in request.messages]
    prompt_tokens = preamble + sum(counts)
    _check_context(prompt_tokens, model)
    seed = blake2b(msgspec.json.encode((request.model, request.seed, request.messages)), digest_size=8)
    cached_tokens = prefixes.cached_tokens(request, preamble, counts)
    is_written = model.states_cache_writes and prompt_tokens >= MIN_CACHED_TOKENS
    choices = tuple(_choice(request, model, _seed_of(seed, index), tokens) for index in range(request.n or 1))
    return Generation(
        id=f"chatcmpl-{uuid4().hex}",
        created=int(time.time()),
        model=model.id,
        choices=choices,
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        reasoning_tokens=sum(choice.reasoning_tokens for choice in choices),
        visible_tokens=sum(choice.visible_tokens for choice in choices),
        cache_write_tokens=prompt_tokens - cached_tokens if is_written else 0,
    )


def _check_context(prompt_tokens: int, model: Model) -> None:
    if prompt_tokens > model.context_tokens:
        message = (
            f"This model's maximum context length is {model.context_tokens} tokens. However, your messages resulted in "
            f"{prompt_tokens} tokens. Please reduce the length of the messages."
        )
        raise invalid_value("messages", message, "context_length_exceeded")


def _seed_of(request_digest: "blake2b", index: int) -> int:
    digest = request_digest.copy()
    digest.update(index.to_bytes(2, "big"))
    return int.from_bytes(digest.digest(), "big")


def _choice(request: ChatRequest, model: Model, seed: int, tokens: int | None) -> Choice:
    reasoning = _reasoning_tokens(request, model, seed)
    pieces, call, finish_reason = _content(request, seed, tokens)
    limit = request.token_limit
    if limit is None:
        return Choice(pieces, finish_reason, reasoning, call)
    reasoning = min(reasoning, limit)
    head = call.tokens if call else 0
    room = limit - reasoning - head
    if room < 0:
        return Choice((), "length", limit)
    if len(pieces) > room:
        return Choice(pieces[:room], "length", reasoning, call)
    return Choice(pieces, finish_reason, reasoning, call)


def _content(request: ChatRequest, seed: int, tokens: int | None) -> tuple[tuple[str, ...], Call | None, str]:
    tool = request.called_tool()
    if tool is not None:
        call = Call(f"call_{uuid4().hex[:24]}", tool.name, count_tokens(tool.name))
        # OpenAI returns "stop" instead of "tool_calls" if the caller named the function.
        finish_reason = "stop" if isinstance(request.tool_choice, NamedTool) else "tool_calls"
        return split_tokens(_ascii_json(example_value(tool.parameters) or {})), call, finish_reason
    if request.response_format is not None and request.response_format.type != "text":
        return split_tokens(_ascii_json(_structured(request, seed))), None, "stop"
    return passage(seed, tokens), None, "stop"


def _structured(request: ChatRequest, seed: int) -> Any:
    requested_format = request.response_format and request.response_format.json_schema
    if requested_format and requested_format.schema:
        return example_value(requested_format.schema)
    return {"summary": "".join(passage(seed, 12)), "topics": ["river", "harbor"], "count": seed % 10}


def _reasoning_tokens(request: ChatRequest, model: Model, seed: int) -> int:
    if not model.reasons:
        return 0
    least = _MIN_REASONING[request.reasoning_effort or "medium"]
    return least + seed % 5 * _REASONING_STEP if least else 0


def _ascii_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
