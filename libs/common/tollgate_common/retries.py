"""Retry with exponential back-off while a store is unavailable."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 5.0

ResultT = TypeVar("ResultT")


def backoff(first_s: float = FIRST_DELAY_S, max_s: float = MAX_DELAY_S) -> Iterator[float]:
    """Delays in seconds: each is twice the one before, up to `max_s`."""
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
) -> ResultT:
    """Await `attempt` until it succeeds, with back-off after each transient error.

    Args:
        attempt: must be safe to repeat when it is unknown whether its effect took place.
        what: subject of the log message, such as `usage 3@1042`.
        transient: errors to retry. Any other error is raised.
        first_delay_s: delay after the first failure, in seconds.
        max_delay_s: longest delay between two attempts, in seconds.
    """
    for delay_s in backoff(first_delay_s, max_delay_s):
        try:
            return await attempt()
        except transient as error:
            log.warning("%s failed and will be retried in %.1f s: %s", what, delay_s, error or type(error).__name__)
        await asyncio.sleep(delay_s)
    raise AssertionError("the back-off never ends")
