"""Expiry of grants, in transactions of bounded size."""

import logging

from tollgate_balance.credits import store
from tollgate_balance.credits.collection import save_collected
from tollgate_balance.credits.portfolio import collect_all, expire, open_portfolio
from tollgate_balance.leases import store as leases
from tollgate_balance.leases.handlers import SHORTAGE_DURATION
from tollgate_balance.ledger import store as ledger
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

# Bounds a transaction, and so how long it blocks an account.
ACCOUNTS_TOGETHER = 200


async def expire_credit(pool: Pool) -> None:
    """Expire every grant that has reached its expiry time by PostgreSQL's clock. Concurrent calls are safe."""
    while await _expire_some(pool):
        pass


async def _expire_some(pool: Pool) -> bool:
    """Expire the grants of some accounts. Return whether more may remain."""
    async with pool.connection() as connection:
        account_ids = await store.read_accounts_to_expire(connection, ACCOUNTS_TOGETHER)
        if not account_ids:
            return False
        accounts = await ledger.lock_accounts(connection, account_ids)
        grants = await store.read_open(connection, account_ids)
        grant_ids = await store.read_to_expire(connection, account_ids)
        collected = [
            collect_all(expire(open_portfolio(account, grants[account_id]), grant_ids))
            for account_id, account in accounts.items()
        ]
        await save_collected(connection, collected, grants)
        # Ask edges to shrink idle leases, so that the held part can expire sooner.
        held = [portfolio.account.account_id for portfolio, _ in collected if portfolio.account.expiring_nano]
        if held:
            await leases.note_shortages(connection, held, SHORTAGE_DURATION)
        reach(CrashPoint.BEFORE_EXPIRY)
    reach(CrashPoint.AFTER_EXPIRY)
    log.info("expired %d grants on %d accounts", len(grant_ids), len(accounts))
    return True
