"""The rules that turn what a provider stated of a request into what is charged. No other module decides this.

Every function is pure. A provider may state its usage in several blocks, in any order and repeatedly. Each becomes a
`StatedUsage`; `merge` combines them, and `settle` counts only what none of them states.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec.structs import astuple, replace

from tollgate_common.rating import TokenCounts

# A detail may exceed its total by this much: some providers round the two apart.
_ROUNDING_TOKENS = 2
_ROUNDING_SHARE = 100


class StatedUsage(msgspec.Struct, frozen=True, gc=False):
    """What a provider has stated so far, in tokens. Zero means that it is not stated.

    `prompt` includes every other class of the prompt, `output` every other class of the output. `cache_write` includes
    `cache_write_1h`; `cached`, `audio_input` and `image_input` include `cached_audio` and `cached_image`.
    """

    prompt: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    image_input: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    total: int = 0
    is_impossible: bool = False
    """Whether a count was negative or too large. Such a count is not stated."""

    @property
    def states_output(self) -> bool:
        return self.output > 0 or self.total > self.prompt > 0

    @property
    def states_nothing(self) -> bool:
        return not (self.prompt or self.output or self.total or self.cached or self.cache_write or self.reasoning)


NOTHING_STATED = StatedUsage()


class SettledUsage(NamedTuple):
    """What is charged. `tokens` is None if that is nothing."""

    tokens: TokenCounts | None
    is_estimated: bool = False
    """Whether the edge counted a part of it."""
    is_impossible: bool = False
    """Whether the provider stated what cannot be true."""


def merge(known: StatedUsage, block: StatedUsage) -> StatedUsage:
    """Combine two statements about one response: the larger of each class.

    The order does not matter, and a repetition changes nothing. A later zero or empty block therefore never replaces
    an earlier figure. Prompts are compared as wholes, so that a prompt that is first stated as uncached and then as
    cached is not counted twice.
    """
    if known is NOTHING_STATED:
        return block
    if block is NOTHING_STATED:
        return known
    return StatedUsage(*map(max, astuple(known), astuple(block)))


def settle(
    stated: StatedUsage,
    *,
    count_output: Callable[[], int],
    estimate: Callable[[int], TokenCounts | None],
    is_final: bool,
    is_prompt_charged: bool = True,
) -> SettledUsage:
    """Return the usage to charge: what the provider stated, and a count of the rest.

    Args:
        stated: everything that the provider stated.
        count_output: counts the output tokens that were delivered. Called only if the provider's count is missing or
            older than the last delivered text.
        estimate: estimates the usage of the prompt with so many output tokens, if nothing is stated.
        is_final: whether the provider stated its output after the last delivered text.
        is_prompt_charged: whether a prompt that the provider did not state is charged.
    """
    if stated.states_nothing:
        return _estimated(count_output(), estimate, stated, is_prompt_charged=is_prompt_charged)
    whole = with_totals(stated)
    prompt_estimate: TokenCounts | None = None
    if not whole.prompt and is_prompt_charged:
        prompt_estimate = estimate(0)
    output = whole.output
    if not (is_final and output):
        output = max(output, count_output())
    is_output_counted = output > whole.output
    tokens, is_contradictory = _in_classes(replace(whole, output=output) if is_output_counted else whole)
    if prompt_estimate is not None:
        tokens = replace(tokens, input=prompt_estimate.input, audio_input=prompt_estimate.audio_input)
    is_impossible = stated.is_impossible or is_contradictory
    is_counted = is_output_counted or (prompt_estimate is not None and prompt_estimate.prompt > 0)
    return SettledUsage(tokens, is_counted or is_impossible, is_impossible)


def stated_classes(stated: StatedUsage) -> TokenCounts | None:
    """Return the classes of a usage as it stands, with nothing estimated; None if nothing is stated."""
    if stated.states_nothing:
        return None
    return _in_classes(with_totals(stated))[0]


def _estimated(
    output: int, estimate: Callable[[int], TokenCounts | None], stated: StatedUsage, *, is_prompt_charged: bool
) -> SettledUsage:
    if is_prompt_charged:
        return SettledUsage(estimate(output), is_estimated=True, is_impossible=stated.is_impossible)
    tokens = TokenCounts(output=output) if output else None
    return SettledUsage(tokens, is_estimated=True, is_impossible=stated.is_impossible)


def with_totals(stated: StatedUsage) -> StatedUsage:
    """Complete `prompt` and `output` by the total, which also decides which details stand beside them.

    xAI and Gemini's OpenAI-compatible API count reasoning beside the output, and some gateways count cached tokens
    beside the prompt: the total is then larger than prompt and output by exactly those.
    """
    if stated.is_impossible:
        # A total beside an impossible count explains nothing.
        return stated
    prompt, output, reasoning = stated.prompt, stated.output, stated.reasoning
    if not prompt:
        prompt = max(0, stated.total - output - (reasoning if output else 0)) or stated.cached + stated.cache_write
    beside = stated.total - prompt - output
    if beside <= 0 and prompt == stated.prompt:
        return stated
    if beside > 0:
        cache = stated.cached + stated.cache_write
        if output and beside == cache != reasoning:
            # The sum leaves no doubt, even if there is reasoning too.
            prompt += beside
        elif not output or 0 < reasoning <= beside:
            output += beside if not output else reasoning
        else:
            # Thoughts that are counted only in the total, or as far as they are.
            output += beside
            reasoning = max(reasoning, beside)
    return replace(stated, prompt=prompt, output=output, reasoning=reasoning)


def _in_classes(whole: StatedUsage) -> tuple[TokenCounts, bool]:
    """Split the totals into disjoint classes; also return whether a detail contradicts its total.

    A detail is limited to what is left of its total, so that the totals are charged whatever the details are.
    """
    prompt_details = (whole.cached, whole.cache_write, whole.audio_input, whole.image_input)
    output_details = (whole.reasoning, whole.audio_output, whole.image_output)
    reasoning, audio_output, image_output, output = _split(whole.output, *output_details)
    is_contradictory = _exceeds(whole.output, output_details)
    if not any(prompt_details):
        return TokenCounts(
            input=whole.prompt,
            output=output,
            reasoning=reasoning,
            audio_output=audio_output,
            image_output=image_output,
        ), is_contradictory
    cached, written, audio, image, text = _split(
        whole.prompt,
        whole.cached,
        whole.cache_write,
        whole.audio_input - whole.cached_audio,
        whole.image_input - whole.cached_image,
    )
    cached_audio, cached_image, cached_text = _split(cached, whole.cached_audio, whole.cached_image)
    one_hour, short = _split(written, whole.cache_write_1h)
    tokens = TokenCounts(
        input=text,
        cached_input=cached_text,
        cache_write=short,
        cache_write_1h=one_hour,
        audio_input=audio,
        image_input=image,
        cached_audio_input=cached_audio,
        cached_image_input=cached_image,
        output=output,
        reasoning=reasoning,
        audio_output=audio_output,
        image_output=image_output,
    )
    return tokens, is_contradictory or _exceeds(whole.prompt, prompt_details)


def _exceeds(total: int, details: tuple[int, ...]) -> bool:
    largest = max(details)
    return largest > total and largest > total + max(_ROUNDING_TOKENS, total // _ROUNDING_SHARE)


def _split(total: int, *details: int) -> list[int]:
    """Split a total into its details, each limited to what is left, and the remainder."""
    parts = []
    for detail in details:
        part = 0 if detail <= 0 else min(total, detail)
        parts.append(part)
        total -= part
    parts.append(total)
    return parts
