import pytest

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.simulate import Behaviour, Break, UsageFault, parse_behaviour


def test_nothing_asked_is_a_normal_answer() -> None:
    assert parse_behaviour("") == Behaviour()


def test_behaviours_are_joined_by_commas() -> None:
    parsed = parse_behaviour("slow_first_byte:20, slow_chunks:3,tokens:500,no_usage,die_mid_stream:5")
    assert parsed == Behaviour(
        slow_first_byte_ms=20,
        slow_chunks_ms=3,
        tokens=500,
        usage_fault=UsageFault.MISSING,
        broken=Break.DIE_IN_STREAM,
        break_number=5,
    )


@pytest.mark.parametrize("kind", list(Break))
def test_every_break_can_be_asked_for(kind: Break) -> None:
    value = ":500" if kind is Break.ERROR else ":5" if kind.in_stream else ""
    assert parse_behaviour(kind + value).broken is kind


@pytest.mark.parametrize(("text", "fault"), [("wrong_usage", "negative"), ("wrong_usage:huge", "huge")])
def test_a_wrong_usage_is_negative_unless_said(text: str, fault: str) -> None:
    assert parse_behaviour(text).usage_fault == fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("explode", "unknown behaviour 'explode'; known are slow_first_byte"),
        ("tokens", "'tokens' needs a number from 1 to 100000"),
        ("tokens:0", "not '0'"),
        ("tokens:many", "not 'many'"),
        ("tokens:" + "9" * 5_000, "'tokens' needs a number"),
        ("error:200", "from 400 to 599"),
        ("slow_chunks:600001", "from 0 to 600000"),
        ("hang:5", "'hang' takes no value"),
        ("wrong_usage:odd", "negative, cached, huge"),
        ("hang,garbage", "'garbage' contradicts"),
        ("tokens:5,", "unknown behaviour ''"),
    ],
)
def test_what_cannot_be_simulated_is_refused(text: str, said: str) -> None:
    with pytest.raises(ApiError, match=r"metadata\.simulate") as raised:
        parse_behaviour(text)
    assert said in str(raised.value)


def test_a_break_must_fit_the_kind_of_answer() -> None:
    with pytest.raises(ApiError, match="needs 'stream': true"):
        parse_behaviour("stall_mid_stream:1").check(streaming=False)
    with pytest.raises(ApiError, match="does not stream"):
        parse_behaviour("truncated_body").check(streaming=True)
