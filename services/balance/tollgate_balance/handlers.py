"""The use cases: each is one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psycopg
from aiokafka import TopicPartition
from prometheus_client import Counter

from tollgate_balance import store
from tollgate_balance.ledger import GRANTED_FROM, Account, Kind, LedgerAccount, Posting, charge, collect
from tollgate_balance.store import Position
from tollgate_balance.validation import check_adjustment, check_grant
from tollgate_common.clock import utc_now
from tollgate_common.errors import Fenced, Poison
from tollgate_common.events import CreditAdjusted, CreditGranted, TokensUsed
from tollgate_common.postgres import Connection, Pool
from tollgate_common.sequence import BootSequence

WRITTEN_OFF = Counter("tollgate_balance_written_off_nano", "Usage that neither a hold nor available credit covered.")


class UsageBatch(NamedTuple):
    """What is new in the records of a partition from `position.next` to before `end`.

    `usage` is what costs something; `boots` is the sequence state of each boot that has moved.
    """

    partition: TopicPartition
    position: Position
    end: int
    usage: Sequence[TokensUsed]
    boots: Mapping[str, BootSequence]


async def post_usage(pool: Pool, batch: UsageBatch) -> Position:
    """Post a batch; returns where the partition stands then. Posting a batch that is in already changes nothing.

    Raises:
        Fenced: another consumer has taken the partition over; nothing has changed.
        psycopg.OperationalError: the database is away; whether the batch is in must be found out by posting it again.
    """
    done = batch.position._replace(next=batch.end)
    async with pool.connection() as connection:
        if not await store.advance(connection, batch.partition, batch.position, batch.end):
            if await store.read_position(connection, batch.partition) == done:
                return done
            raise Fenced(f"{batch.partition} has been taken over by another consumer")
        if batch.boots:
            await store.save_sequences(connection, batch.partition, batch.boots)
        written_off_nano = await _post(connection, batch) if batch.usage else 0
    WRITTEN_OFF.inc(written_off_nano)
    return done


async def _post(connection: Connection, batch: UsageBatch) -> int:
    """What had to be written off."""
    await store.add_postings(connection, map(_usage_posting, batch.usage))
    used_nano: dict[str, int] = defaultdict(int)
    for event in batch.usage:
        used_nano[event.request.account_id] += event.amount_nano
    # From here to the commit these accounts wait, so it is the last thing that is done.
    accounts = await store.lock_accounts(connection, used_nano)
    results = [charge(accounts[account_id], amount, 0) for account_id, amount in used_nano.items()]
    await store.save_accounts(connection, [result.account for result in results])
    reference = f"{batch.partition.topic}:{batch.partition.partition}:{batch.position.next}-{batch.end}"
    write_offs = [
        _write_off_posting(result.account, result.written_off_nano, reference)
        for result in results
        if result.written_off_nano
    ]
    if write_offs:
        await store.add_postings(connection, write_offs)
    return sum(posting.amount_nano for posting in write_offs)


def _usage_posting(event: TokensUsed) -> Posting:
    return Posting(
        event.request.account_id,
        Kind.USAGE,
        LedgerAccount.CUSTOMER_CREDIT,
        LedgerAccount.REVENUE,
        event.amount_nano,
        event.request.request_id,
        event.at,
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
