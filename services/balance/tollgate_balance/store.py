"""Runs `sql/*.sql`; rows become types and types become rows. Each function works in its caller's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from psycopg import AsyncCursor
from psycopg.rows import DictRow

from tollgate_balance.ledger import Account, Posting
from tollgate_common import outbox
from tollgate_common.clock import utc_now
from tollgate_common.events import BalanceRecord, CreditAdjusted, CreditGranted, encode
from tollgate_common.ids import id_floor
from tollgate_common.postgres import Connection
from tollgate_common.sequence import BOOT_HORIZON, BootSequence
from tollgate_common.statements import Statements
from tollgate_common.topics import SPECS, Topic

SQL = Statements("tollgate_balance")

# The oldest record that can still be read was sent a retention ago, and may be of a boot as old as the horizon then.
_REMEMBERED = timedelta(milliseconds=SPECS[Topic.USAGE].retention_ms or 0) + BOOT_HORIZON + timedelta(days=1)


class Position(NamedTuple):
    """Where a partition is to be resumed, and the number of the consumer that has taken it over."""

    next: int
    epoch: int


# --- where consumers stand --------------------------------------------------------------------------------------------


async def take_over(connection: Connection, partition: TopicPartition, beginning: int) -> Position:
    """Fence every other consumer of the partition; on the very first call resume at `beginning`."""
    cursor = await connection.execute(SQL["take_over_partition"], _of(partition) | {"beginning": beginning})
    return Position(**await _one(cursor))


async def advance(connection: Connection, partition: TopicPartition, position: Position, end: int) -> bool:
    """Move `next` from the position to `end`; False if it does not stand there under the position's epoch."""
    cursor = await connection.execute(
        SQL["advance_offset"], _of(partition) | {"start": position.next, "epoch": position.epoch, "end": end}
    )
    return cursor.rowcount == 1


async def read_position(connection: Connection, partition: TopicPartition) -> Position:
    cursor = await connection.execute(SQL["read_offset"], _of(partition))
    return Position(**await _one(cursor))


async def read_sequences(connection: Connection, partition: TopicPartition, now: datetime) -> dict[str, BootSequence]:
    floor = id_floor(now - _REMEMBERED)
    cursor = await connection.execute(SQL["read_sequences"], _of(partition) | {"floor": floor})
    return {
        row["boot_id"]: BootSequence(row["high"], tuple((gap.lower, gap.upper) for gap in row["gaps"]))
        for row in await cursor.fetchall()
    }


async def save_sequences(connection: Connection, partition: TopicPartition, boots: Mapping[str, BootSequence]) -> None:
    columns = {
        "boot_ids": list(boots),
        "highs": [boot.high for boot in boots.values()],
        "gaps": ["{" + ",".join(f"[{start},{end})" for start, end in boot.gaps) + "}" for boot in boots.values()],
    }
    await connection.execute(SQL["save_sequences"], _of(partition) | columns)


# --- the ledger -------------------------------------------------------------------------------------------------------


async def add_postings(connection: Connection, postings: Iterable[Posting]) -> None:
    async with connection.cursor() as cursor, cursor.copy(SQL["copy_postings"]) as copy:
        for posting in postings:
            await copy.write_row(posting)


async def lock_accounts(connection: Connection, account_ids: Collection[str]) -> dict[str, Account]:
    """Lock the accounts until the transaction ends; those that are not there yet are opened with nothing in them."""
    parameters = {"account_ids": list(account_ids)}
    await connection.execute(SQL["open_accounts"], parameters)
    cursor = await connection.execute(SQL["lock_accounts"], parameters)
    return {row["account_id"]: Account(**row) for row in await cursor.fetchall()}


async def save_accounts(connection: Connection, accounts: Sequence[Account]) -> None:
    """Write locked accounts, each with a new version, and tell everyone of them."""
    changed = [account._replace(version=account.version + 1) for account in accounts]
    await connection.execute(
        SQL["save_accounts"],
        {
            "account_ids": [account.account_id for account in changed],
            "posted": [account.posted_nano for account in changed],
            "held": [account.held_nano for account in changed],
            "due": [account.due_nano for account in changed],
            "versions": [account.version for account in changed],
        },
    )
    at = utc_now()
    await outbox.add_many(connection, [_message(account, at) for account in changed])


async def take_due(connection: Connection, taken_nano: Mapping[str, int]) -> None:
    """Post what was taken from locked accounts under their oldest reductions that are still due."""
    await connection.execute(SQL["take_due"], {"account_ids": list(taken_nano), "amounts": list(taken_nano.values())})


async def read_account(connection: Connection, account_id: str) -> Account | None:
    row = await (await connection.execute(SQL["read_account"], {"account_id": account_id})).fetchone()
    return None if row is None else Account(**row)


async def read_postings(connection: Connection, account_id: str, before: int, limit: int) -> list[DictRow]:
    """A page of postings with ids below `before`, newest first."""
    cursor = await connection.execute(
        SQL["read_postings"], {"account_id": account_id, "before": before, "limit": limit}
    )
    return await cursor.fetchall()


# --- credit -----------------------------------------------------------------------------------------------------------


async def add_grant(connection: Connection, grant: CreditGranted) -> bool:
    """False if a grant of this id is there already."""
    cursor = await connection.execute(
        SQL["add_grant"],
        {
            "grant_id": grant.grant_id,
            "account_id": grant.account_id,
            "amount_nano": grant.amount_nano,
            "source": grant.source,
            "reason": grant.reason,
            "priority": grant.priority,
            "at": grant.at,
            "expires_at": grant.expires_at,
        },
    )
    return await cursor.fetchone() is not None


async def add_adjustment(connection: Connection, adjustment: CreditAdjusted, due_nano: int) -> bool:
    """False if an adjustment of this id is there already."""
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


async def read_grant(connection: Connection, grant_id: str) -> tuple[str, int]:
    """Account and amount."""
    row = await _one(await connection.execute(SQL["read_grant"], {"id": grant_id}))
    return row["account_id"], row["amount_nano"]


async def read_adjustment(connection: Connection, adjustment_id: str) -> tuple[str, int]:
    """Account and amount."""
    row = await _one(await connection.execute(SQL["read_adjustment"], {"id": adjustment_id}))
    return row["account_id"], row["amount_nano"]


# --- rows and parameters ----------------------------------------------------------------------------------------------


def _of(partition: TopicPartition) -> dict[str, Any]:
    return {"topic": partition.topic, "partition": partition.partition}


async def _one(cursor: AsyncCursor[DictRow]) -> DictRow:
    row = await cursor.fetchone()
    assert row is not None
    return row


def _message(account: Account, at: datetime) -> outbox.Message:
    record = BalanceRecord(
        account_id=account.account_id,
        posted_nano=account.posted_nano,
        held_nano=account.held_nano,
        version=account.version,
        at=at,
    )
    return outbox.Message(Topic.BALANCES, account.account_id, account.version, encode(record))
