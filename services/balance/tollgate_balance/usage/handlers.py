"""Post a batch of usage: one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiokafka import TopicPartition
from prometheus_client import Counter

from tollgate_balance.budgets import store as budgets
from tollgate_balance.credits.collection import save_taken
from tollgate_balance.leases import store as leases
from tollgate_balance.leases.rules import settle
from tollgate_balance.ledger import store as ledger
from tollgate_balance.ledger.accounts import Account, Kind, LedgerAccount, Posting
from tollgate_balance.usage import store as positions
from tollgate_balance.usage.store import Position
from tollgate_common.clock import utc_now
from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.errors import Fenced
from tollgate_common.events import TokensUsed
from tollgate_common.postgres.connection import Connection, Pool
from tollgate_common.sequence import BootSequence

WRITTEN_OFF = Counter("tollgate_balance_write_off_nano", "Usage that neither a hold nor available credit covered.")


class Used(NamedTuple):
    """An event and its offset."""

    offset: int
    event: TokensUsed


class UsageBatch(NamedTuple):
    """The new events of a partition from `position.next` up to, and not including, `end`.

    `usage` has the events with an amount. `boots` is the sequence state of each boot that has advanced.
    """

    partition: TopicPartition
    position: Position
    end: int
    usage: Sequence[Used]
    boots: Mapping[str, BootSequence]


async def post_usage(pool: Pool, batch: UsageBatch) -> Position:
    """Post a batch and return the partition's new position. Posting a batch again changes nothing.

    Raises:
        Fenced: another consumer has taken the partition over. Nothing has changed.
        psycopg.OperationalError: the database is unavailable. Post the batch again to learn whether it was committed.
    """
    done = batch.position._replace(next=batch.end)
    async with pool.connection() as connection:
        if not await positions.advance(connection, batch.partition, batch.position, batch.end):
            if await positions.read_position(connection, batch.partition) == done:
                return done
            raise Fenced(f"{batch.partition} has been taken over by another consumer")
        if batch.boots:
            await positions.save_sequences(connection, batch.partition, batch.boots)
        written_off_nano = await _post(connection, batch) if batch.usage else 0
        reach(CrashPoint.BEFORE_POST)
    reach(CrashPoint.AFTER_POST)
    WRITTEN_OFF.inc(written_off_nano)
    return done


async def _post(connection: Connection, batch: UsageBatch) -> int:
    """Post the usage. Return the amount that was written off."""
    await ledger.add_postings(connection, (_usage_posting(batch.partition.partition, used) for used in batch.usage))
    used_nano: dict[str, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    for _, event in batch.usage:
        used_nano[event.request.account_id][event.lease_id] += event.amount_nano
    # The accounts stay locked from here to the commit, so this comes last.
    accounts = await ledger.lock_accounts(connection, used_nano)
    lease_ids = {event.lease_id for _, event in batch.usage if event.lease_id is not None}
    known = await leases.read_leases(connection, lease_ids) if lease_ids else {}
    windows = await budgets.read_windows(connection, {n for lease in known.values() for n in lease.window_ids})
    results = [settle(accounts[account_id], known, by_lease, windows) for account_id, by_lease in used_nano.items()]
    settled = [lease for result in results for lease in result.leases]
    if settled:
        await leases.save_leases(connection, settled)
    await budgets.save_windows(connection, [one for result in results for one in result.windows])
    await save_taken(connection, [result.charged.account for result in results])
    reference = f"{batch.partition.topic}:{batch.partition.partition}:{batch.position.next}-{batch.end}"
    write_offs = [
        _write_off_posting(charged.account, charged.written_off_nano, reference)
        for charged, *_ in results
        if charged.written_off_nano
    ]
    if write_offs:
        await ledger.add_postings(connection, write_offs)
    return sum(posting.amount_nano for posting in write_offs)


def _usage_posting(partition: int, used: Used) -> Posting:
    event = used.event
    return Posting(
        event.request.account_id,
        Kind.USAGE,
        LedgerAccount.CUSTOMER_CREDIT,
        LedgerAccount.REVENUE,
        event.amount_nano,
        event.request.request_id,
        event.at,
        partition,
        used.offset,
    )


def _write_off_posting(account: Account, amount_nano: int, reference: str) -> Posting:
    return Posting(
        account.account_id,
        Kind.WRITE_OFF,
        LedgerAccount.WRITE_OFF,
        LedgerAccount.CUSTOMER_CREDIT,
        amount_nano,
        reference,
        utc_now(),
    )
