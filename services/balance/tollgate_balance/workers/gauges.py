"""Metrics of all accounts: leases, due reductions, expiring credit, exhausted budgets.

Each value covers the whole database, so every instance reports the same. Take the maximum over instances, not the sum.
"""

import psycopg
from prometheus_client import Gauge

from tollgate_balance.workers import store as totals
from tollgate_common.postgres.connection import Pool
from tollgate_common.retries import repeat

INTERVAL_S = 15.0
GAUGES = {
    name: Gauge(f"tollgate_balance_{name}", text)
    for name, text in {
        "leases_open": "Leases that edges may spend from.",
        "leases_held_nano": "Credit that open leases hold.",
        "accounts_short": "Accounts that recently rejected a lease because other leases hold their credit.",
        "adjustments_due": "Reductions that are not taken completely.",
        "adjustments_due_nano": "The part of reductions that is not taken yet.",
        "grants_expiring": "Grants with a remainder that expire within a day.",
        "grants_expiring_nano": "Remainders of grants that expire within a day, before unburned usage is deducted.",
        "grants_overdue": "Grants past their expiry time. If this stays above 0, expiry does not run.",
        "budgets_current": "Budgets with a grant in their current period.",
        "budgets_exhausted": "Budgets with a grant in their current period and no headroom.",
    }.items()
}


class Gauges:
    """Reads the totals periodically, all from indexes, so that a scrape of the metrics never waits for the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self) -> None:
        """Read until canceled. While the database is unavailable, the last values stay."""
        await repeat(self.read, "reading the gauges", psycopg.OperationalError, interval_s=INTERVAL_S)

    async def read(self) -> None:
        async with self._pool.connection() as connection:
            for name, value in (await totals.read_totals(connection)).items():
                GAUGES[name].set(value)
