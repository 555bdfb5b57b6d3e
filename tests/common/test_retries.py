"""Back-off while a store is unavailable."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import pytest

from tollgate_common.errors import Retryable
from tollgate_common.retries import backoff, repeat, retry


def test_delays_double_up_to_a_maximum() -> None:
    assert list(itertools.islice(backoff(0.1, 1.0), 6)) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


async def test_a_transient_error_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: Iterator[Retryable | str] = iter([Retryable("away"), Retryable("still away"), "stored"])

    async def attempt() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Retryable):
            raise outcome
        return outcome

    assert await retry(attempt, "usage 3@7", Retryable, first_delay_s=0.001) == "stored"
    assert [record.getMessage() for record in caplog.records] == [
        "usage 3@7 failed and will be retried in 0.0 s: away",
        "usage 3@7 failed and will be retried in 0.0 s: still away",
    ]


async def test_any_other_error_is_raised() -> None:
    async def attempt() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await retry(attempt, "usage 3@7", Retryable)


async def test_the_last_error_is_raised_after_the_timeout() -> None:
    attempts = 0

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        raise Retryable("away")

    with pytest.raises(Retryable, match="away"):
        await retry(attempt, "usage 3@7", Retryable, first_delay_s=0.001, max_delay_s=0.001, timeout_s=0.05)
    assert attempts > 1


async def test_a_long_attempt_resets_the_delay(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock_s)
    durations_s = iter([0.0, 0.0, 0.0, 9.0])

    async def attempt() -> None:
        nonlocal clock_s
        duration_s = next(durations_s, None)
        if duration_s is not None:
            clock_s += duration_s
            raise Retryable("away")

    async def no_pause(_: float) -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", no_pause)
    await retry(attempt, "the outbox", Retryable)
    delays = [record.getMessage().split(" in ")[1] for record in caplog.records]
    assert delays == ["0.1 s: away", "0.2 s: away", "0.4 s: away", "0.1 s: away"]


async def test_a_failed_turn_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise Retryable("away")
        if turns == 3:
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await repeat(turn, "the sweep", Retryable, interval_s=0.001)
    assert turns == 3
    assert [record.getMessage() for record in caplog.records] == ["the sweep failed and will be retried in 0.0 s: away"]
