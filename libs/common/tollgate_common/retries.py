"""Wait for a store: retry one action with exponential back-off, or repeat a periodic one."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn, TypeVar

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 5.0

ResultT = TypeVar("ResultT")


def backoff(first_s: float = FIRST_DELAY_S, max_s: float = MAX_DELAY_S) -> Iterator[float]:
    """Yield delays in seconds without end: each is twice the one before, up to `max_s`."""
    delay_s = first_s
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, max_s)


async def retry(
    attempt: Callable[[], Awaitable[ResultT]],
    what: str,
    *transient: type[Exception],
    first_delay_s: float = FIRST_DELAY_S,
    max_delay_s: float = MAX_DELAY_S,
    timeout_s: float = float("inf"),
) -> ResultT:
    """Await `attempt` until it succeeds, with back-off after each transient error.

    An attempt that ran for longer than `max_delay_s` resets the back-off, so a worker that failed after hours restarts
    at once.

    Args:
        attempt: must be safe to repeat when it is unknown whether its effect took place.
        what: subject of the log message, such as `usage 3@1042`.
        transient: errors to retry. Any other error is raised.
        first_delay_s: delay after the first failure, in seconds.
        max_delay_s: longest delay between two attempts, in seconds.
        timeout_s: no attempt begins later than this after the first. The last transient error is raised then.
    """
    deadline = time.monotonic() + timeout_s
    delays = backoff(first_delay_s, max_delay_s)
    while True:
        began = time.monotonic()
        try:
            return await attempt()
        except transient as error:
            now = time.monotonic()
            if now - began > max_delay_s:
                delays = backoff(first_delay_s, max_delay_s)
            delay_s = next(delays)
            if now + delay_s > deadline:
                raise
            log.warning("%s failed and will be retried in %.1f s: %s", what, delay_s, error or type(error).__name__)
        await asyncio.sleep(delay_s)


async def repeat(
    turn: Callable[[], Awaitable[object]], what: str, *transient: type[Exception], interval_s: float
) -> NoReturn:
    """Await `turn` and then wait for `interval_s` seconds, until canceled. The next turn retries a failed one.

    Args:
        turn: must be safe to repeat when it is unknown whether its effect took place.
        what: subject of the log message, such as `the expiry of credit`.
        transient: errors that are logged. Any other error is raised.
        interval_s: the pause between two turns, also after a failed one.
    """
    while True:
        try:
            await turn()
        except transient as error:
            log.warning("%s failed and will be retried in %.1f s: %s", what, interval_s, error or type(error).__name__)
        await asyncio.sleep(interval_s)
