"""Accounts, postings and adjustments."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from tollgate_balance.database.statements import SQL, one
from tollgate_balance.ledger.accounts import Account, Posting
from tollgate_common.clock import utc_now
from tollgate_common.events import BalanceRecord, CreditAdjusted, encode
from tollgate_common.postgres import outbox
from tollgate_common.postgres.connection import Connection
from tollgate_common.topics import Topic

# The binary types of the columns of `Posting`. An enum is sent as text.
_POSTING_TYPES = ("text", "text", "text", "text", "int8", "text", "timestamptz", "int4", "int8")


async def add_postings(connection: Connection, postings: Iterable[Posting]) -> None:
    async with connection.cursor() as cursor, cursor.copy(SQL["copy_postings"]) as copy:
        copy.set_types(_POSTING_TYPES)
        for posting in postings:
            await copy.write_row(posting)


async def lock_accounts(connection: Connection, account_ids: Collection[str]) -> dict[str, Account]:
    """Lock the accounts until the transaction ends. Open missing accounts with no credit."""
    accounts = await _lock(connection, account_ids)
    missing = [account_id for account_id in account_ids if account_id not in accounts]
    if missing:
        await connection.execute(SQL["open_accounts"], {"account_ids": missing})
        accounts |= await _lock(connection, missing)
    return accounts


async def _lock(connection: Connection, account_ids: Collection[str]) -> dict[str, Account]:
    cursor = await connection.execute(SQL["lock_accounts"], {"account_ids": list(account_ids)})
    return {row["account_id"]: Account(**row) for row in await cursor.fetchall()}


async def save_accounts(connection: Connection, accounts: Sequence[Account]) -> None:
    """Write locked accounts, each with a new version, and add their balances to the outbox."""
    changed = [account._replace(version=account.version + 1) for account in accounts]
    await connection.execute(
        SQL["save_accounts"],
        {
            "account_ids": [account.account_id for account in changed],
            "posted": [account.posted_nano for account in changed],
            "held": [account.held_nano for account in changed],
            "due": [account.due_nano for account in changed],
            "versions": [account.version for account in changed],
            "unburned": [account.unburned_nano for account in changed],
            "expiring": [account.expiring_nano for account in changed],
        },
    )
    at = utc_now()
    await outbox.add_many(connection, [_message(account, at) for account in changed])


async def take_due(connection: Connection, taken_nano: Mapping[str, int]) -> None:
    """Post the amounts taken from locked accounts under their oldest due reductions."""
    await connection.execute(SQL["take_due"], {"account_ids": list(taken_nano), "amounts": list(taken_nano.values())})


async def read_account(connection: Connection, account_id: str) -> Account | None:
    row = await (await connection.execute(SQL["read_account"], {"account_id": account_id})).fetchone()
    return None if row is None else Account(**row)


async def add_adjustment(connection: Connection, adjustment: CreditAdjusted, due_nano: int) -> bool:
    """Insert an adjustment. Return False if its id exists."""
    cursor = await connection.execute(
        SQL["add_adjustment"],
        {
            "adjustment_id": adjustment.adjustment_id,
            "account_id": adjustment.account_id,
            "amount_nano": adjustment.amount_nano,
            "due_nano": due_nano,
            "reason": adjustment.reason,
            "at": adjustment.at,
        },
    )
    return await cursor.fetchone() is not None


async def read_adjustment(connection: Connection, adjustment_id: str) -> tuple[str, int]:
    """Return the account and the amount of an adjustment."""
    row = await one(await connection.execute(SQL["read_adjustment"], {"id": adjustment_id}))
    return row["account_id"], row["amount_nano"]


def _message(account: Account, at: datetime) -> outbox.Message:
    record = BalanceRecord(
        account_id=account.account_id,
        posted_nano=account.posted_nano,
        held_nano=account.held_nano,
        version=account.version,
        at=at,
    )
    return outbox.Message(Topic.BALANCES, account.account_id, account.version, encode(record))
