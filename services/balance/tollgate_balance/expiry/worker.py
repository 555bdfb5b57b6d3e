"""Lets credit expire.

Guarantee: every grant expires once, by PostgreSQL's clock, and what expiry takes from an account is posted with it.
Crash window: none; each turn is a transaction that another turn, here or in another instance, finds done or does. While
the database is away nothing expires, and nothing is granted either.
"""

import asyncio
import logging

import psycopg

from tollgate_balance.expiry.handlers import expire_credit
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

# Credit may be used for so much longer than it was granted for.
EVERY_S = 1.0


class Expirer:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self) -> None:
        """Look for what has expired until cancelled; a lost database is waited for."""
        while True:
            try:
                await expire_credit(self._pool)
            except psycopg.OperationalError as error:
                log.warning("no credit expires while the database is away: %s", error)
            await asyncio.sleep(EVERY_S)
