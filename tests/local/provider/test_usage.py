import pytest

from tollgate_local.provider.behavior import UsageFault
from tollgate_local.provider.generation import Generation
from tollgate_local.provider.usage import Usage, build_usage

GENERATION = Generation(
    id="chatcmpl-1",
    created=1,
    model="o3",
    choices=(),
    prompt_tokens=2_000,
    cached_tokens=1_920,
    reasoning_tokens=64,
    visible_tokens=10,
)


def stated(fault: UsageFault | None) -> Usage:
    usage = build_usage(GENERATION, fault)
    assert usage is not None
    return usage


def test_the_usage_is_what_was_generated() -> None:
    usage = stated(None)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2_000, 74, 2_074)
    assert usage.prompt_tokens_details.cached_tokens == 1_920
    assert usage.completion_tokens_details.reasoning_tokens == 64


def test_faults_are_impossible_usages() -> None:
    assert build_usage(GENERATION, UsageFault.MISSING) is None
    assert stated(UsageFault.NEGATIVE).completion_tokens < 0
    cached = stated(UsageFault.CACHED)
    assert cached.prompt_tokens_details.cached_tokens > cached.prompt_tokens
    assert stated(UsageFault.HUGE).completion_tokens == 10**15


@pytest.mark.parametrize("fault", list(UsageFault))
def test_a_fault_leaves_the_generation_true(fault: UsageFault) -> None:
    build_usage(GENERATION, fault)
    assert GENERATION.completion_tokens == 74
