"""The loop that expires credit.

Guarantee: every grant expires once, by PostgreSQL's clock, and the expired amount is posted in the same transaction.
Crash window: none. Each turn is a transaction; the next turn, here or in another instance, finds it done or does it.
While the database is unavailable nothing expires, and nothing is granted either.
"""

import psycopg

from tollgate_balance.expiry.handlers import expire_credit
from tollgate_common.postgres.connection import Pool
from tollgate_common.retries import repeat

# Credit stays usable for at most this long after its expiry time.
INTERVAL_S = 1.0


class Expirer:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self) -> None:
        """Expire credit until canceled. Wait while the database is unavailable."""
        await repeat(
            lambda: expire_credit(self._pool), "the expiry of credit", psycopg.OperationalError, interval_s=INTERVAL_S
        )
