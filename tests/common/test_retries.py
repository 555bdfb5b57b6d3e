"""Back-off while a store is unavailable."""

import itertools
from collections.abc import Iterator

import pytest

from tollgate_common.errors import Retryable
from tollgate_common.retries import backoff, retry


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
