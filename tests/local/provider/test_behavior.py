import pytest

from tollgate_local.provider.behavior import Behavior, Failure, UsageFault, parse_behavior
from tollgate_local.provider.errors import ApiError


def test_nothing_asked_is_a_normal_answer() -> None:
    assert parse_behavior("") == Behavior()


def test_behaviors_are_separated_by_commas() -> None:
    parsed = parse_behavior("slow_first_byte:20, slow_chunks:3,tokens:500,no_usage,die_mid_stream:5")
    assert parsed == Behavior(
        slow_first_byte_ms=20,
        slow_chunks_ms=3,
        tokens=500,
        usage_fault=UsageFault.MISSING,
        failure=Failure.DIE_IN_STREAM,
        failure_number=5,
    )


@pytest.mark.parametrize("kind", list(Failure))
def test_every_break_can_be_asked_for(kind: Failure) -> None:
    value = ":500" if kind is Failure.ERROR else ":5" if kind.in_stream else ""
    assert parse_behavior(kind + value).failure is kind


@pytest.mark.parametrize(("text", "fault"), [("wrong_usage", "negative"), ("wrong_usage:huge", "huge")])
def test_wrong_usage_is_negative_by_default(text: str, fault: str) -> None:
    assert parse_behavior(text).usage_fault == fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("explode", "unknown behavior 'explode'; expected one of: slow_first_byte"),
        ("tokens", "'tokens' requires a number from 1 to 100000"),
        ("tokens:0", "but got '0'"),
        ("tokens:many", "but got 'many'"),
        ("tokens:" + "9" * 5_000, "'tokens' requires a number"),
        ("error:200", "from 400 to 599"),
        ("slow_chunks:600001", "from 0 to 600000"),
        ("hang:5", "'hang' takes no value"),
        ("wrong_usage:odd", "negative, cached, huge"),
        ("hang,garbage", "'garbage' conflicts"),
        ("tokens:5,", "unknown behavior ''"),
    ],
)
def test_invalid_behavior_is_rejected(text: str, expected: str) -> None:
    with pytest.raises(ApiError, match=r"metadata\.simulate") as raised:
        parse_behavior(text)
    assert expected in str(raised.value)


def test_failure_must_fit_kind_of_response() -> None:
    with pytest.raises(ApiError, match="requires 'stream': true"):
        parse_behavior("stall_mid_stream:1").check(streaming=False)
    with pytest.raises(ApiError, match="is not streamed"):
        parse_behavior("truncated_body").check(streaming=True)
