"""The usage object of a response, which is exact or, on request, impossible."""

import msgspec

from tollgate_local.provider.behavior import UsageFault
from tollgate_local.provider.generation import Generation

_HUGE_TOKENS = 10**15


class PromptTokensDetails(msgspec.Struct):
    cached_tokens: int
    cache_write_tokens: int = 0
    audio_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct):
    reasoning_tokens: int
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(msgspec.Struct):
    """`prompt_tokens` includes cached and cache-write tokens; `completion_tokens` includes reasoning tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


def build_usage(generation: Generation, fault: UsageFault | None) -> Usage | None:
    """Return the usage to report; None if it is omitted on request."""
    if fault is UsageFault.MISSING:
        return None
    usage = Usage(
        generation.prompt_tokens,
        generation.completion_tokens,
        generation.prompt_tokens + generation.completion_tokens,
        PromptTokensDetails(generation.cached_tokens, generation.cache_write_tokens),
        CompletionTokensDetails(generation.reasoning_tokens),
    )
    if fault is UsageFault.NEGATIVE:
        usage.prompt_tokens, usage.completion_tokens, usage.total_tokens = -1, -1, -2
    elif fault is UsageFault.CACHED:
        usage.prompt_tokens_details.cached_tokens = usage.prompt_tokens + 1
    elif fault is UsageFault.HUGE:
        usage.completion_tokens, usage.total_tokens = _HUGE_TOKENS, usage.prompt_tokens + _HUGE_TOKENS
    return usage
