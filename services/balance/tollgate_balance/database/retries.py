"""Retries of a consumer while its database is unavailable. Its partition waits meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.1
LAST_DELAY_S = 5.0

ResultT = TypeVar("ResultT")


async def until_stored(attempt: Callable[[], Awaitable[ResultT]], what: str) -> ResultT:
    """Repeat `attempt` until the database responds. It must be safe to repeat after a commit of unknown outcome."""
    delay_s = FIRST_DELAY_S
    while True:
        try:
            return await attempt()
        except psycopg.OperationalError as error:
            log.warning("%s waits for the database: %s", what, error)
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, LAST_DELAY_S)
