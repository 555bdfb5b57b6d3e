"""What a correct meter charges for a response, from the provider's truth and not from its usage."""

from typing import NamedTuple

from tollgate_local.provider.profiles.profile import Profile, Stated
from tollgate_local.provider.profiles.truth import Truth


class Charges(NamedTuple):
    """Tokens by class. Each token is in one class."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int


def expected(profile: Profile, truth: Truth) -> Charges:
    """Return what a correct meter charges if it receives the usage.

    A class that the profile does not state cannot be charged separately. Its tokens are input or output.
    """
    counts = truth.counts
    cached = counts.cached if Stated.CACHED in profile.states else 0
    written = counts.written if Stated.WRITTEN in profile.states else 0
    reasoning = counts.thought if Stated.REASONING in profile.states else 0
    return Charges(
        input=counts.prompt - cached - written,
        cached_input=cached,
        cache_write=written,
        output=counts.generated - reasoning,
        reasoning=reasoning,
    )


def shown_tokens(profile: Profile, truth: Truth) -> int:
    """Return how many generated tokens a client can count, which is what a meter charges without a usage."""
    shows_reasoning = profile.reasoning_member is not None or profile.content_is_parts
    return truth.counts.generated if shows_reasoning else truth.counts.visible
