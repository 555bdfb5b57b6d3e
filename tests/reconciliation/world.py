"""All three consumers in this process on real stores, with an edge's events and the reconciler."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import httpx
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_billing.dead_letters.service import DeadLetterService
from tollgate_billing.reconciliation.reconciler import Reconciler
from tollgate_billing.reconciliation.report import Report
from tollgate_common.clock import utc_now
from tollgate_common.events import (
    EdgeHeartbeat,
    Outcome,
    RequestClosed,
    RequestDimensions,
    RequestOpened,
    StampedEvent,
    TokensUsed,
    Void,
    encode,
)
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.postgres.connection import Pool
from tollgate_common.rating import Prices, TokenCounts, rate
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, partition_for
from waiting import until

PARTITIONS = 2
ACCOUNTS = ("acc-a", "acc-b", "acc-c")


@dataclass
class Edge:
    """One boot of an edge. It stamps events per partition."""

    price_version: str
    prices: Prices
    boot_id: str = field(default_factory=new_id)
    next_seqs: dict[Topic, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * PARTITIONS))

    def stamp(self, topic: Topic, key: str) -> Stamp:
        partition = partition_for(key, PARTITIONS)
        self.next_seqs[topic][partition] += 1
        return Stamp(self.boot_id, partition, self.next_seqs[topic][partition] - 1)

    def used(self, request: RequestDimensions, tokens: int, **changes: Any) -> TokensUsed:
        counts = TokenCounts(input=tokens, output=3 * tokens, cached_input=7)
        fields: dict[str, Any] = {
            "stamp": self.stamp(Topic.USAGE, request.account_id),
            "at": utc_now(),
            "request": request,
            "tokens": counts,
            "amount_nano": rate(counts, self.prices).amount_nano,
            "price_version": self.price_version,
            "plan_version": "standard@1",
        }
        return TokensUsed(**fields | changes)

    def opened(self, request: RequestDimensions) -> RequestOpened:
        return RequestOpened(stamp=self.stamp(Topic.REQUESTS, request.account_id), at=utc_now(), request=request)

    def closed(self, request: RequestDimensions) -> RequestClosed:
        stamp = self.stamp(Topic.REQUESTS, request.account_id)
        return RequestClosed(
            stamp=stamp,
            at=utc_now(),
            request=request,
            outcome=Outcome.COMPLETED,
            status=200,
            opened_at=utc_now(),
            latency_ms=5,
        )

    def whole_request(self, account_id: str, tokens: int) -> list[StampedEvent]:
        request = request_of(account_id)
        return [self.opened(request), self.used(request, tokens), self.closed(request)]

    def void(self, account_id: str) -> Void:
        return Void(stamp=self.stamp(Topic.USAGE, account_id), at=utc_now(), account_id=account_id, reason="too large")

    def heartbeat(self) -> EdgeHeartbeat:
        """Build a heartbeat that counts all earlier events, but not itself."""
        sent = {topic.value: tuple(seqs) for topic, seqs in self.next_seqs.items()}
        return EdgeHeartbeat(stamp=self.stamp(Topic.REQUESTS, self.boot_id), at=utc_now(), edge="edge-1", sent=sent)


def request_of(account_id: str) -> RequestDimensions:
    return RequestDimensions(
        request_id=new_id(), account_id=account_id, key_id="key", endpoint="/v1/chat/completions", model="gpt-4o"
    )


@dataclass
class Planted:
    """The findings that damage adds to a report."""

    before: Report
    after: Report

    @property
    def differences(self) -> dict[str, int]:
        before, after = self.before.totals.differences, self.after.totals.differences
        return {name: after[name] - before[name] for name in after if after[name] != before[name]}

    def new(self, field: str) -> list[Any]:
        before = list(getattr(self.before, field))
        return [found for found in getattr(self.after, field) if found not in before]


@dataclass
class World:
    brokers: Brokers
    prefix: str
    producer: KafkaProducer
    ledger: Pool
    catalog: Pool
    clickhouse: AsyncClient
    reconciler: Reconciler
    service: DeadLetterService
    http: httpx.AsyncClient
    edge: Edge
    workers: Sequence[asyncio.Task[None]]

    async def send(self, *events: StampedEvent) -> None:
        for event in events:
            is_usage = isinstance(event, TokensUsed | Void)
            topic = Topic.USAGE if is_usage else Topic.REQUESTS
            request = getattr(event, "request", None)
            key = request.account_id if request else getattr(event, "account_id", event.stamp.boot_id)
            await self.producer.send(
                topic.named(self.prefix), encode(event), key.encode(), partition=event.stamp.partition
            )
        await self.producer.flush()

    async def traffic(self, requests: int) -> list[TokensUsed]:
        """Send complete requests of all accounts, a void and a heartbeat. Return the usage events."""
        used: list[TokensUsed] = []
        for number in range(requests):
            events = self.edge.whole_request(ACCOUNTS[number % len(ACCOUNTS)], number + 1)
            used += [event for event in events if isinstance(event, TokensUsed)]
            await self.send(*events)
        await self.send(self.edge.void("acc-a"), self.edge.heartbeat())
        return used

    async def reconcile(self) -> Report:
        """Reconcile once all consumers have read everything. Raise the error of a consumer that failed."""
        self.check()
        report = await self.reconciler.run(None, None)
        assert report.lag == ()
        return report

    async def plant(self, *damages: Awaitable[None]) -> Planted:
        before = await self.reconcile()
        for damage in damages:
            await damage
        return Planted(before, await self.reconcile())

    def check(self) -> None:
        for worker in self.workers:
            if worker.done():
                worker.result()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        await until(condition, working=self.workers)

    async def sql(self, statement: LiteralString, *parameters: object) -> None:
        """Run a statement as a superuser without the ledger's triggers, to cause damage that no service could."""
        async with self.ledger.connection() as connection:
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(statement, parameters)

    async def click(self, statement: str) -> None:
        await self.clickhouse.command(statement, settings={"mutations_sync": 2, "alter_sync": 2})


def differences(report: Report) -> dict[str, int]:
    return {name: value for name, value in report.totals.differences.items() if value}
