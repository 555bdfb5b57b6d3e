"""Grants and adjustments."""

import psycopg

from tollgate_balance.ledger import GRANTED_FROM, Account, Kind, LedgerAccount, Posting, collect
from tollgate_balance.store import ledger as store
from tollgate_balance.validation import check_adjustment, check_grant
from tollgate_common.errors import Poison
from tollgate_common.events import CreditAdjusted, CreditGranted
from tollgate_common.postgres import Connection, Pool


async def grant_credit(pool: Pool, grant: CreditGranted) -> None:
    """Post a grant, once however often it comes.

    Raises:
        Poison: it can never be posted.
        psycopg.OperationalError: the database is away.
    """
    check_grant(grant)
    try:
        async with pool.connection() as connection:
            account = (await store.lock_accounts(connection, [grant.account_id]))[grant.account_id]
            if not await store.add_grant(connection, grant):
                known = await store.read_grant(connection, grant.grant_id)
                _check_repeated(grant.grant_id, known, (grant.account_id, grant.amount_nano))
                return
            posting = Posting(
                grant.account_id,
                Kind.GRANT,
                GRANTED_FROM[grant.source],
                LedgerAccount.CUSTOMER_CREDIT,
                grant.amount_nano,
                grant.grant_id,
                grant.at,
            )
            await store.add_postings(connection, [posting])
            await add_credit(connection, account, grant.amount_nano)
    except psycopg.DataError as error:
        raise Poison(f"a grant that cannot be stored: {error}") from error


async def adjust_credit(pool: Pool, adjustment: CreditAdjusted) -> None:
    """Post an adjustment, once however often it comes.

    A reduction takes at most what is available. The rest is due, and is taken from whatever becomes available next:
    a hold that comes back or new credit.

    Raises:
        Poison: it can never be posted.
        psycopg.OperationalError: the database is away.
    """
    check_adjustment(adjustment)
    account_id, amount_nano = adjustment.account_id, adjustment.amount_nano
    try:
        async with pool.connection() as connection:
            account = (await store.lock_accounts(connection, [account_id]))[account_id]
            reduction_nano = max(0, -amount_nano)
            if not await store.add_adjustment(connection, adjustment, reduction_nano):
                known = await store.read_adjustment(connection, adjustment.adjustment_id)
                _check_repeated(adjustment.adjustment_id, known, (account_id, amount_nano))
                return
            if reduction_nano:
                account = account._replace(due_nano=account.due_nano + reduction_nano)
            else:
                await store.add_postings(connection, [_adjustment_posting(adjustment)])
            await add_credit(connection, account, max(0, amount_nano))
    except psycopg.DataError as error:
        raise Poison(f"an adjustment that cannot be stored: {error}") from error


def _adjustment_posting(adjustment: CreditAdjusted) -> Posting:
    return Posting(
        adjustment.account_id,
        Kind.ADJUSTMENT,
        LedgerAccount.ADJUSTMENTS,
        LedgerAccount.CUSTOMER_CREDIT,
        adjustment.amount_nano,
        adjustment.adjustment_id,
        adjustment.at,
    )


async def add_credit(connection: Connection, account: Account, amount_nano: int) -> None:
    """Add to a locked account, and take from it what is due."""
    collected = collect(account._replace(posted_nano=account.posted_nano + amount_nano))
    if collected.taken_nano:
        await store.take_due(connection, {account.account_id: collected.taken_nano})
    await store.save_accounts(connection, [collected.account])


def _check_repeated(what: str, known: tuple[str, int], told: tuple[str, int]) -> None:
    if known != told:
        raise Poison(f"{what} is known with another account or amount")
