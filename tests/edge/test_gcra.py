"""A key's rate limits against a token bucket that is written out in fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_edge.rate_limits.gcra import PERIOD_S, Bucket
from tollgate_edge.rate_limits.limiter import format_duration

STARTED_S = 1_000_000.0
steps = st.lists(st.tuples(st.integers(0, 90_000), st.integers(1, 30)), max_size=25)


class LevelBucket:
    """As a book has it: a level that fills with time and is capped."""

    def __init__(self, limit: Fraction) -> None:
        self.limit = limit
        self.capacity = max(Fraction(1), limit)
        self.level = self.capacity
        self.at_ms = 0

    def take(self, units: int, at_ms: int) -> bool:
        self.level = min(self.capacity, self.level + self.limit * (at_ms - self.at_ms) / 60_000)
        self.at_ms = at_ms
        wanted = min(Fraction(units), self.capacity)
        if wanted > self.level:
            return False
        self.level -= wanted
        return True


@untimed
@given(limit=st.integers(1, 600), edges=st.integers(1, 5), steps=steps)
def test_bucket_matches_token_bucket_model(limit: int, edges: int, steps: list[tuple[int, int]]) -> None:
    bucket, model, now_ms = Bucket(), LevelBucket(Fraction(limit, edges)), 0
    for pause_ms, units in steps:
        now_ms += pause_ms
        allowed = model.take(units, now_ms)
        is_let_in = bucket.take(units, limit / edges, STARTED_S + now_ms / 1000) == 0
        if is_let_in != allowed:
            # Only where the level is what is asked for, to the accuracy of a float; from there on they differ by that.
            wanted = min(Fraction(units), model.capacity)
            assert abs(model.level + wanted * allowed - wanted) < 1e-4
            return


@untimed
@given(limit=st.integers(1, 600), steps=steps)
def test_window_is_bounded_by_capacity_and_refill(limit: int, steps: list[tuple[int, int]]) -> None:
    bucket, now_ms = Bucket(), 0
    taken: list[tuple[int, float]] = []
    for pause_ms, units in steps:
        now_ms += pause_ms
        if not bucket.take(units, limit, STARTED_S + now_ms / 1000):
            taken.append((now_ms, min(units, limit)))
    for first in range(len(taken)):
        total = 0.0
        for at_ms, units_taken in taken[first:]:
            total += units_taken
            flowed = limit * (at_ms - taken[first][0]) / 60_000
            assert total <= limit + flowed + 1e-3


@untimed
@given(limit=st.integers(1, 600), units=st.integers(1, 1000), ahead=st.integers(1, 1000))
def test_units_are_available_after_returned_wait(limit: int, units: int, ahead: int) -> None:
    bucket = Bucket()
    assert bucket.take(ahead, limit, STARTED_S) == 0
    wait_s = bucket.take(units, limit, STARTED_S)
    assert wait_s <= PERIOD_S
    assert wait_s == 0 or bucket.take(units, limit, STARTED_S + wait_s) == 0


def test_zero_limit_rejects_everything() -> None:
    bucket = Bucket()
    assert bucket.take(1, 0, 0.0) == PERIOD_S
    assert bucket.remaining(0, 0.0) == 0


def test_debt_delays_later_units() -> None:
    bucket = Bucket()
    assert bucket.take(10, 60, 0.0) == 0
    bucket.correct(80, 60)
    assert bucket.remaining(60, 0.0) == 0
    assert bucket.take(1, 60, 0.0) == pytest.approx(31)
    assert bucket.take(1, 60, 31.0) == 0


def test_returned_units_are_available() -> None:
    bucket = Bucket()
    assert bucket.take(60, 60, 5.0) == 0
    bucket.correct(-20, 60)
    assert bucket.remaining(60, 5.0) == 20
    assert bucket.reset_s(5.0) == 40


def test_returned_units_do_not_exceed_capacity() -> None:
    bucket = Bucket()
    bucket.correct(-1000, 60)
    assert bucket.remaining(60, 0.0) == 60
    assert bucket.take(60, 60, 0.0) == 0
    assert bucket.take(1, 60, 0.0) > 0


def test_share_below_one_admits_one() -> None:
    bucket = Bucket()
    assert bucket.take(1, 0.5, 0.0) == 0
    assert bucket.take(1, 0.5, 0.0) == pytest.approx(120)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, b"0ms"), (0.0115, b"12ms"), (1, b"1s"), (8.64, b"8.64s"), (60, b"1m0s"), (360, b"6m0s"), (59.9999, b"1m0s")],
)
def test_durations_in_openai_format(seconds: float, shown: bytes) -> None:
    assert format_duration(seconds) == shown
