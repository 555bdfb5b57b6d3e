"""What one response contains and used. Profiles encode it; tests compare meters with it."""

from dataclasses import dataclass
from enum import StrEnum

from tollgate_local.provider.generation import Call, Generation
from tollgate_local.provider.prose import passage


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class Counts:
    """Token counts. The names of the properties are what the usage of a profile refers to."""

    prompt: int
    visible: int
    thought: int = 0
    cached: int = 0
    """Tokens of the prompt that were read from a cache."""
    written: int = 0
    """Tokens of the prompt that were written to a cache."""

    @property
    def generated(self) -> int:
        return self.visible + self.thought

    @property
    def total(self) -> int:
        return self.prompt + self.generated

    @property
    def uncached(self) -> int:
        return self.prompt - self.cached

    @property
    def fresh(self) -> int:
        """Tokens of the prompt that were neither read from a cache nor written to one."""
        return self.prompt - self.cached - self.written


@dataclass(frozen=True, slots=True)
class Truth:
    """One response. `text` is the text, or the arguments of `call`; `reasoning` is what the model thought before.

    Both have one element per token.
    """

    prompt_tokens: int
    text: tuple[str, ...]
    reasoning: tuple[str, ...] = ()
    cached_tokens: int = 0
    written_tokens: int = 0
    call: Call | None = None
    finish: Finish = Finish.STOP
    model: str = "model"
    id: str = "0123456789abcdef0123456789abcdef"
    created: int = 1_790_000_000

    @property
    def counts(self) -> Counts:
        return self.counts_at(len(self.reasoning), len(self.text))

    def counts_at(self, thought: int, visible: int) -> Counts:
        """Return the counts at a moment of the response at which so many tokens are generated."""
        head = self.call.tokens if self.call is not None else 0
        return Counts(self.prompt_tokens, visible + head, thought, self.cached_tokens, self.written_tokens)


def truth_of(generation: Generation, *, writes_cache: bool) -> Truth:
    """Return the truth of a generation.

    Args:
        generation: its first choice is the response.
        writes_cache: whether the part of the prompt that is not read from the cache is written to it.
    """
    choice = generation.choices[0]
    cached = generation.cached_tokens
    finish = Finish(choice.finish_reason)
    return Truth(
        prompt_tokens=generation.prompt_tokens,
        text=choice.token_texts,
        reasoning=passage(generation.prompt_tokens, choice.reasoning_tokens) if choice.reasoning_tokens else (),
        cached_tokens=cached,
        written_tokens=generation.prompt_tokens - cached if writes_cache else 0,
        call=choice.call,
        finish=Finish.TOOL_CALLS if choice.call is not None and finish is Finish.STOP else finish,
        model=generation.model,
        id=generation.id.removeprefix("chatcmpl-"),
        created=generation.created,
    )
