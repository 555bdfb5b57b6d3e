"""What the accounts are in for, for whoever watches: leases, debts, credit that ends, budgets that are spent.

Of the whole database, so that every instance of the service tells the same: take the greatest, do not add them up.
"""

import asyncio
import logging

import psycopg
from prometheus_client import Gauge

from tollgate_balance.workers import store as totals
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

EVERY_S = 15.0
GAUGES = {
    name: Gauge(f"tollgate_balance_{name}", text)
    for name, text in {
        "leases_open": "Leases that edges may spend from.",
        "leases_held_nano": "What open leases hold of their accounts' credit.",
        "accounts_short": "Accounts that lately refused a lease because others hold their credit.",
        "adjustments_due": "Reductions of which something is still to be taken.",
        "adjustments_due_nano": "What is still to be taken of reductions.",
        "grants_expiring": "Grants that end within a day with something left.",
        "grants_expiring_nano": "What is left of grants that end within a day, before what was taken since has burned.",
        "grants_overdue": "Grants whose time has come and which have not expired: nobody expires them if it stays.",
        "budgets_current": "Budgets under which something was granted in their current period.",
        "budgets_exhausted": "Of these, the ones that have no room left.",
    }.items()
}


class Gauges:
    """Reads the totals now and then, all of them from indexes: nobody who asks for the metrics waits for a database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self) -> None:
        """Read until cancelled; while the database is away, what was read last stands."""
        while True:
            try:
                await self.read()
            except psycopg.OperationalError as error:
                log.warning("the gauges stand still while the database is away: %s", error)
            await asyncio.sleep(EVERY_S)

    async def read(self) -> None:
        async with self._pool.connection() as connection:
            for name, value in (await totals.read_totals(connection)).items():
                GAUGES[name].set(value)
