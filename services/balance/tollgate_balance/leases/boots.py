"""The life of a boot: it renews; if it is silent too long, it is fenced; once drained, its holds are released."""

import logging
from collections.abc import Collection
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from prometheus_client import Counter

from tollgate_balance.budgets import store as budgets
from tollgate_balance.credits.collection import save_taken
from tollgate_balance.leases import store as leases
from tollgate_balance.leases.handlers import boot_fenced
from tollgate_balance.leases.rules import Lease, release
from tollgate_balance.ledger import store as ledger
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

FENCED = Counter("tollgate_balance_boots_fenced", "Edge processes that were fenced because they did not renew.")
RELEASED = Counter("tollgate_balance_released_nano", "Holds of fenced edge processes that were released.")

# Bounds the releasing transaction, and so how long it blocks an account.
ACCOUNTS_TOGETHER = 200


class Renewal(NamedTuple):
    """The result of a renewal.

    `shrink` lists the boot's leases on accounts that ran short. `orphans` lists open leases that the call did not name.
    `edges` is the number of live boots.
    """

    shrink: list[str]
    orphans: list[str]
    edges: int


async def renew(pool: Pool, boot_id: str, edge: str, named: Collection[str] | None) -> Renewal:
    """Renew all leases of a boot.

    Raises:
        Problem: the boot is fenced.
    """
    async with pool.connection() as connection:
        if not await leases.renew(connection, boot_id, edge):
            raise boot_fenced()
    async with pool.connection() as connection:
        shrink = await leases.read_to_shrink(connection, boot_id)
        edges = await leases.count_edges(connection)
        if named is None:
            return Renewal(shrink, [], edges)
        known = set(named)
        orphans = [lease_id for lease_id in await leases.read_open(connection, boot_id) if lease_id not in known]
        return Renewal(shrink, orphans, edges)


async def fence_silent_boots(pool: Pool, lease: timedelta) -> None:
    """Fence every boot that has not renewed for the duration of a lease."""
    async with pool.connection() as connection:
        fenced = await leases.fence_silent(connection, lease)
        if fenced:
            reach(CrashPoint.BEFORE_FENCE)
    for boot_id, edge in fenced.items():
        log.warning("fenced boot %s of edge %s: no renewal for %s", boot_id, edge, lease)
    FENCED.inc(len(fenced))
    if fenced:
        reach(CrashPoint.AFTER_FENCE)


async def release_drained_boots(pool: Pool, usage_topic: str) -> None:
    """Release the holds of fenced boots whose acknowledged usage is settled completely."""
    async with pool.connection() as connection:
        boot_ids = await leases.read_drained_boots(connection, usage_topic)
    for boot_id in boot_ids:
        while await _release_some(pool, boot_id):
            pass
        async with pool.connection() as connection:
            await leases.mark_released(connection, boot_id)


async def _release_some(pool: Pool, boot_id: str) -> bool:
    """Release the holds of some accounts. Return whether more may remain."""
    async with pool.connection() as connection:
        account_ids = await leases.read_unreleased_accounts(connection, boot_id, ACCOUNTS_TOGETHER)
        if not account_ids:
            return False
        accounts = await ledger.lock_accounts(connection, account_ids)
        by_account = _by_account(await leases.read_unreleased(connection, boot_id, account_ids))
        numbers = {number for own in by_account.values() for lease in own for number in lease.window_ids}
        windows = await budgets.read_windows(connection, numbers)
        results = [release(accounts[account_id], own, windows) for account_id, own in by_account.items()]
        await leases.save_leases(connection, [lease for result in results for lease in result.leases])
        await budgets.save_windows(connection, [one for result in results for one in result.windows])
        await save_taken(connection, [result.account for result in results])
        reach(CrashPoint.BEFORE_RELEASE)
    reach(CrashPoint.AFTER_RELEASE)
    released_nano = sum(lease.hold_nano for own in by_account.values() for lease in own)
    log.warning("released the holds of boot %s: %d nano-units on %d accounts", boot_id, released_nano, len(by_account))
    RELEASED.inc(released_nano)
    return True


def _by_account(unreleased: list[Lease]) -> dict[str, list[Lease]]:
    account_of = attrgetter("account_id")
    return {account_id: list(own) for account_id, own in groupby(sorted(unreleased, key=account_of), account_of)}
