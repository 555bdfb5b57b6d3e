"""Grants and adjustments of credit. Each is one transaction."""

import psycopg

from tollgate_balance.credits import store
from tollgate_balance.credits.collection import save_collected, save_taken
from tollgate_balance.credits.portfolio import CreditGrant, add, collect_all, open_portfolio
from tollgate_balance.ledger import store as ledger
from tollgate_balance.ledger.accounts import GRANTED_FROM, Account, Kind, LedgerAccount, Posting
from tollgate_balance.ledger.validation import check_adjustment, check_grant
from tollgate_common.errors import Poison
from tollgate_common.events import CreditAdjusted, CreditGranted
from tollgate_common.postgres.connection import Connection, Pool

# The priority of credit whose event names none.
DEFAULT_PRIORITY = 100


async def grant_credit(pool: Pool, grant: CreditGranted) -> None:
    """Post a grant exactly once, however often it arrives.

    Raises:
        Poison: the grant can never be posted.
        psycopg.OperationalError: the database is unavailable.
    """
    check_grant(grant)
    new = CreditGrant(
        grant.grant_id,
        grant.account_id,
        grant.source,
        grant.amount_nano,
        grant.priority,
        grant.at,
        grant.expires_at,
    )
    posting = Posting(
        grant.account_id,
        Kind.GRANT,
        GRANTED_FROM[grant.source],
        LedgerAccount.CUSTOMER_CREDIT,
        grant.amount_nano,
        grant.grant_id,
        grant.at,
    )
    try:
        async with pool.connection() as connection:
            account = (await ledger.lock_accounts(connection, [grant.account_id]))[grant.account_id]
            if not await _add_credit(connection, account, new, posting, grant.reason):
                known = await store.read_grant(connection, grant.grant_id)
                _check_repeated(grant.grant_id, known, (grant.account_id, grant.amount_nano, grant.source))
    except psycopg.DataError as error:
        raise Poison(f"grant {grant.grant_id} cannot be stored: {error}") from error


async def adjust_credit(pool: Pool, adjustment: CreditAdjusted) -> None:
    """Post an adjustment exactly once, however often it arrives.

    A reduction takes at most the available credit. The rest is due and is taken from the credit that becomes available
    next: a released hold or a new grant.

    Raises:
        Poison: the adjustment can never be posted.
        psycopg.OperationalError: the database is unavailable.
    """
    check_adjustment(adjustment)
    account_id, amount_nano = adjustment.account_id, adjustment.amount_nano
    try:
        async with pool.connection() as connection:
            account = (await ledger.lock_accounts(connection, [account_id]))[account_id]
            reduction_nano = max(0, -amount_nano)
            if not await ledger.add_adjustment(connection, adjustment, reduction_nano):
                known = await ledger.read_adjustment(connection, adjustment.adjustment_id)
                _check_repeated(adjustment.adjustment_id, known, (account_id, amount_nano))
            elif reduction_nano:
                await save_taken(connection, [account._replace(due_nano=account.due_nano + reduction_nano)])
            else:
                await _raise_credit(connection, account, adjustment)
    except psycopg.DataError as error:
        raise Poison(f"adjustment {adjustment.adjustment_id} cannot be stored: {error}") from error


async def _raise_credit(connection: Connection, account: Account, adjustment: CreditAdjusted) -> None:
    """Post a positive adjustment. It burns like a grant that never expires."""
    new = CreditGrant(
        adjustment.adjustment_id,
        adjustment.account_id,
        "adjustment",
        adjustment.amount_nano,
        DEFAULT_PRIORITY,
        adjustment.at,
    )
    posting = Posting(
        adjustment.account_id,
        Kind.ADJUSTMENT,
        LedgerAccount.ADJUSTMENTS,
        LedgerAccount.CUSTOMER_CREDIT,
        adjustment.amount_nano,
        adjustment.adjustment_id,
        adjustment.at,
    )
    if not await _add_credit(connection, account, new, posting, adjustment.reason):
        raise Poison(f"{adjustment.adjustment_id} is already the id of a grant; an adjustment needs an id of its own")


async def _add_credit(
    connection: Connection, account: Account, new: CreditGrant, posting: Posting, reason: str
) -> bool:
    """Add a grant to a locked account and take due reductions from it. Return False if the grant's id is known."""
    if not await store.add_grant(connection, new, reason):
        return False
    await ledger.add_postings(connection, [posting])
    before = (await store.read_open(connection, [account.account_id]))[account.account_id]
    others = (grant for grant in before if grant.grant_id != new.grant_id)
    await save_collected(
        connection, [collect_all(add(open_portfolio(account, others), new))], {account.account_id: before}
    )
    return True


def _check_repeated(what: str, known: tuple[object, ...], given: tuple[object, ...]) -> None:
    if known != given:
        raise Poison(f"{what} was posted before with {known}, and now arrived with {given}")
