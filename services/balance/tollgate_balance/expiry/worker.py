"""The loop that expires credit.

Guarantee: every grant expires once, by PostgreSQL's clock, and the expired amount is posted in the same transaction.
Crash window: none. Each turn is a transaction; the next turn, here or in another instance, finds it done or does it.
While the database is unavailable nothing expires, and nothing is granted either.
"""

import asyncio
import logging

import psycopg

from tollgate_balance.expiry.handlers import expire_credit
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

# Credit stays usable for at most this long after its expiry time.
EVERY_S = 1.0


class Expirer:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self) -> None:
        """Expire credit until canceled. Wait while the database is unavailable."""
        while True:
            try:
                await expire_credit(self._pool)
            except psycopg.OperationalError as error:
                log.warning("expiry waits for the database: %s", error)
            await asyncio.sleep(EVERY_S)
