"""The environment of a balance test: a migrated database, topics, and edges that send usage."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

from aiokafka import TopicPartition

from tollgate_balance.credits.consumer import create_consumer as create_credits_consumer
from tollgate_balance.credits.handlers import grant_credit
from tollgate_balance.expiry.handlers import expire_credit
from tollgate_balance.leases.boots import Renewal, renew
from tollgate_balance.leases.handlers import answer_calls
from tollgate_balance.leases.rules import Answer, Grant, Lease, LeaseCall
from tollgate_balance.usage.consumer import UsageConsumer
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.events import (
    CreditAdjusted,
    CreditEvent,
    CreditGranted,
    RequestDimensions,
    TokensUsed,
    UsageEvent,
    encode,
)
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer, KafkaProducer
from tollgate_common.kafka.consumer import Consumer
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.faststream import FastStreamConsumer
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.connection import Pool
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.rating import TokenCounts
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, partition_for
from waiting import PATIENCE_S

PARTITIONS = 2
USD = 1_000_000_000


@dataclass
class Boot:
    """An edge process that stamps its events."""

    boot_id: str = field(default_factory=new_id)
    next_seq: list[int] = field(default_factory=lambda: [0] * PARTITIONS)

    def stamp(self, partition: int) -> Stamp:
        seq = self.next_seq[partition]
        self.next_seq[partition] += 1
        return Stamp(self.boot_id, partition, seq)

    def used(self, account_id: str, amount_nano: int, lease_id: str | None = None) -> TokensUsed:
        return TokensUsed(
            stamp=self.stamp(partition_for(account_id, PARTITIONS)),
            at=utc_now(),
            request=RequestDimensions(
                request_id=new_id(), account_id=account_id, key_id="key", endpoint="/v1/chat/completions", model="m"
            ),
            tokens=TokenCounts(input=1),
            amount_nano=amount_nano,
            price_version="p1",
            plan_version="s1",
            lease_id=lease_id,
        )


@dataclass
class BalanceDatabase:
    """A migrated database with helpers and invariants."""

    dsn: str
    pool: Pool

    async def query(self, statement: LiteralString, *parameters: object) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(statement, parameters)).fetchall()

    async def execute(self, statement: LiteralString, *parameters: object) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement, parameters)

    async def credit(self, account_id: str, amount_nano: int, **options: Any) -> str:
        """Grant credit to an account without Kafka. Return the id of the grant."""
        grant = granted(account_id, amount_nano, **options)
        await grant_credit(self.pool, grant)
        return grant.grant_id

    async def pass_expiry(self, *grant_ids: str) -> None:
        """Move the expiry of grants into the past, and expire them."""
        await self.execute("UPDATE grants SET expires_at = now() WHERE grant_id = ANY(%s)", list(grant_ids))
        await expire_credit(self.pool)

    async def remaining(self, account_id: str) -> dict[str, int]:
        """Return the remainder of each grant, before unburned usage is deducted."""
        rows = await self.query("SELECT grant_id, remaining_nano FROM grants WHERE account_id = %s", account_id)
        return {row["grant_id"]: row["remaining_nano"] for row in rows}

    async def renew(self, boot_id: str, named: list[str] | None = None) -> Renewal:
        return await renew(self.pool, boot_id, "edge", named)

    async def ask(self, *calls: LeaseCall) -> list[Answer | Problem]:
        """Return the results of calls that arrive together."""
        return await answer_calls(self.pool, calls)

    async def lease(self, boot_id: str, account_id: str, amount_nano: int) -> Lease:
        """Grant a lease to a live boot."""
        await self.renew(boot_id)
        lease = await self.try_lease(boot_id, account_id, amount_nano)
        assert lease is not None
        return lease

    async def try_lease(self, boot_id: str, account_id: str, amount_nano: int) -> Lease | None:
        """Grant a lease if the account has enough credit."""
        [answer] = await self.ask(Grant(new_id(), account_id, boot_id, amount_nano, 0))
        assert isinstance(answer, Answer)
        return answer.lease

    async def account(self, account_id: str) -> dict[str, int]:
        rows = await self.query(
            "SELECT posted_nano, held_nano, due_nano, version FROM accounts WHERE account_id = %s", account_id
        )
        return rows[0] if rows else {}

    async def posted(self, kind: str, account_id: str) -> int:
        """Return the sum of an account's postings of a kind, negative if they took credit."""
        rows = await self.query(
            "SELECT coalesce(sum(CASE credit WHEN 'customer_credit' THEN amount_nano ELSE -amount_nano END), 0)::bigint"
            " AS sum FROM postings WHERE kind = %s AND account_id = %s",
            kind,
            account_id,
        )
        return int(rows[0]["sum"])

    async def check_books(self) -> None:
        """Check the invariants between the accounts' rows and the ledger."""
        wrong = await self.query(
            "SELECT account_id, posted_nano, ledger_nano FROM accounts FULL JOIN ("
            "  SELECT account_id, sum(CASE credit WHEN 'customer_credit' THEN amount_nano ELSE -amount_nano END)"
            "    AS ledger_nano FROM postings GROUP BY account_id) AS ledger USING (account_id)"
            " WHERE coalesce(posted_nano, 0) <> coalesce(ledger_nano, 0)"
        )
        assert wrong == []
        unheld = await self.query(
            "SELECT account_id, held_nano, holds_nano FROM accounts LEFT JOIN ("
            "  SELECT account_id, sum(greatest(0, authorised_nano - settled_nano)) AS holds_nano"
            "    FROM leases WHERE state <> 'released' GROUP BY account_id) AS holds USING (account_id)"
            " WHERE held_nano <> coalesce(holds_nano, 0)"
        )
        assert unheld == []
        unburned = await self.query(
            "SELECT account_id, posted_nano, unburned_nano, expiring_nano, remaining_nano FROM accounts LEFT JOIN ("
            "  SELECT account_id, sum(remaining_nano) AS remaining_nano,"
            "    sum(remaining_nano) FILTER (WHERE expired_at IS NOT NULL) AS expired_nano"
            "    FROM grants GROUP BY account_id) AS credit USING (account_id)"
            " WHERE posted_nano + unburned_nano <> coalesce(remaining_nano, 0)"
            "   OR expiring_nano <> coalesce(expired_nano, 0)"
        )
        assert unburned == []


@dataclass
class World(BalanceDatabase):
    """The database and topics."""

    brokers: Brokers
    prefix: str
    producer: KafkaProducer
    tasks: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def usage_topic(self) -> str:
        return Topic.USAGE.named(self.prefix)

    async def send(self, events: Sequence[UsageEvent]) -> None:
        """Send events to their stamped partitions, as an edge does, including resends."""
        for event in events:
            await self.producer.send(self.usage_topic, encode(event), partition=event.stamp.partition)
        await self.producer.flush()

    async def send_raw(self, topic: Topic, value: bytes, partition: int = 0, **options: Any) -> None:
        await self.producer.send_and_wait(topic.named(self.prefix), value, partition=partition, **options)

    async def send_credit(self, *events: CreditEvent) -> None:
        for event in events:
            partition = partition_for(event.account_id, PARTITIONS)
            await self.producer.send(Topic.CREDITS.named(self.prefix), encode(event), partition=partition)
        await self.producer.flush()

    @asynccontextmanager
    async def consuming(self) -> AsyncIterator[Consumer]:
        """Start a consumer of usage."""
        group = f"{self.prefix}.balance"
        consumer = Consumer(self.brokers, group, [self.usage_topic], session_timeout_ms=6_000, max_records=2_000)
        handler = UsageConsumer(consumer, self.pool, DeadLetters(self.producer, self.prefix, group))
        async with running(handler.run()) as task:
            self.tasks.append(task)
            yield consumer

    async def has_ended(self) -> bool:
        """Return whether the consumer that was started last has ended."""
        return self.tasks[-1].done()

    @asynccontextmanager
    async def crediting(self) -> AsyncIterator[FastStreamConsumer]:
        """Start a consumer of credits."""
        consumer = self.credits_consumer()
        async with running(consumer.run()):
            yield consumer

    def credits_consumer(self) -> FastStreamConsumer:
        group, topic = f"{self.prefix}.credits", Topic.CREDITS.named(self.prefix)
        dead_letters = DeadLetters(self.producer, self.prefix, group)
        return create_credits_consumer(self.brokers, group, topic, self.pool, dead_letters)

    async def consumed(self) -> list[int]:
        """Return the position of each started partition of usage."""
        rows = await self.query("SELECT next FROM consumer_offsets ORDER BY partition")
        return [row["next"] for row in rows]

    async def has_consumed_all(self) -> bool:
        return await self.consumed() == await self.ends(self.usage_topic)

    async def ends(self, topic: str) -> list[int]:
        consumer = KafkaConsumer(**self.brokers.options)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            ends = await consumer.end_offsets(partitions)
            return [ends[partition] for partition in partitions]
        finally:
            await consumer.stop()

    async def dead_letters(self, topic: Topic) -> list[tuple[bytes, str]]:
        """Return the value and the reason of each dead letter."""
        name = topic.dead_letters(self.prefix)
        consumer = KafkaConsumer(**self.brokers.options, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            letters = []
            for _ in range(sum(ends.values())):
                record = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
                letters.append((record.value, dict(record.headers)["reason"].decode()))
            return letters
        finally:
            await consumer.stop()


def granted(
    account_id: str, amount_nano: int, *, source: str = "promo", grant_id: str | None = None, **options: Any
) -> CreditGranted:
    return CreditGranted(
        grant_id=grant_id or new_id(),
        account_id=account_id,
        at=utc_now(),
        amount_nano=amount_nano,
        source=source,
        **options,
    )


def adjusted(account_id: str, amount_nano: int, adjustment_id: str | None = None) -> CreditAdjusted:
    return CreditAdjusted(
        adjustment_id=adjustment_id or new_id(),
        account_id=account_id,
        at=utc_now(),
        amount_nano=amount_nano,
        reason="a correction",
    )


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator["asyncio.Future[None]"]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def open_pool(dsn: str) -> Pool:
    await migrate_postgres(dsn, "tollgate_common", "tollgate_balance")
    pool = postgres.create_pool(dsn)
    await pool.open()
    return pool
