"""The live tail: follows requests.v1 and usage.v1 and passes events to subscribers, without the database.

Guarantee: a subscriber gets each event of its account after its position once, in the order of each topic, or it learns
that it was dropped. A position contains an offset in each of the account's two partitions, and the totals up to there.
A client that returns with the last id it saw therefore continues without a gap, on any instance. Memory is bounded: one
queue a subscriber. An event that was sent twice is in the log twice and reported twice; the usage API counts it once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from prometheus_client import Counter, Gauge

from tollgate_analytics.live.position import Position
from tollgate_analytics.query.parameters import invalid_parameter
from tollgate_analytics.query.scopes import Scope
from tollgate_common.errors import Poison, Problem, Retryable
from tollgate_common.events import RequestClosed, TokensUsed, decode_request, decode_usage
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.records import Record
from tollgate_common.topics import Topic, find_partitions, partition_for

log = logging.getLogger(__name__)

# A subscriber with more unread events than this is dropped.
QUEUE_EVENTS = 2_000
# Limits on resuming: the missed records are read from the log again for this one client.
MAX_REPLAY_RECORDS = 200_000
MAX_REPLAY_EVENTS = 10_000
REPLAY_TIMEOUT_S = 30.0
# Maximum number of concurrent streams of one account.
MAX_SUBSCRIBERS = 50
POLL_MS = 50

SUBSCRIBERS = Gauge("tollgate_live_subscribers", "Clients that follow the live stream.")
DROPPED = Counter(
    "tollgate_live_dropped_subscribers", "Clients that were dropped from the live stream because they read too slowly."
)

LiveEvent = RequestClosed | TokensUsed


class AccountEvent(NamedTuple):
    """An event of an account, and its offset in its partition."""

    event: LiveEvent
    is_usage: bool
    offset: int


class Subscriber:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.queue: asyncio.Queue[AccountEvent] = asyncio.Queue(QUEUE_EVENTS)
        self.is_too_slow = False

    def offer(self, event: AccountEvent) -> None:
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.is_too_slow = True


class LiveTail:
    """One reader, without a consumer group, for all subscribers of this process. It also runs without subscribers."""

    def __init__(self, brokers: Brokers, prefix: str) -> None:
        self._brokers = brokers
        self._requests = Topic.REQUESTS.named(prefix)
        self._usage = Topic.USAGE.named(prefix)
        self._partitions = 0
        self._next: dict[TopicPartition, int] = {}
        self._subscribers: dict[str, set[Subscriber]] = {}

    def waiting_for(self) -> str | None:
        return None if self._next else "the ends of the topics that the live stream follows"

    async def run(self) -> None:
        """Follow the topics until canceled.

        Raises:
            Retryable: a topic does not exist, or this service may not read it.
        """
        kafka = self._create_consumer()
        await kafka.start()
        try:
            partitions = await self._all_partitions()
            kafka.assign(partitions)
            await kafka.seek_to_end(*partitions)
            for partition in partitions:
                self._next[partition] = await kafka.position(partition)
            while True:
                batches = await kafka.getmany(timeout_ms=200)
                for partition, records in batches.items():
                    self._publish(partition, records)
        finally:
            await kafka.stop()

    def current_position(self, account_id: str) -> Position:
        """Return the position after the newest event that this tail has read for the account."""
        requests, usage = self._partitions_of(account_id)
        return Position(self._next[requests], self._next[usage])

    def subscriber_count(self, account_id: str) -> int:
        return len(self._subscribers.get(account_id, ()))

    @asynccontextmanager
    async def subscribe(self, scope: Scope) -> AsyncIterator[tuple[Subscriber, Position]]:
        """Yield a subscriber that gets every event from the yielded position on.

        Raises:
            Problem: 429 if the account has the maximum of streams; 503 while this instance is starting.
        """
        if self.subscriber_count(scope.account_id) >= MAX_SUBSCRIBERS:
            detail = (
                f"{MAX_SUBSCRIBERS} clients follow this account already, which is the maximum; close one and try again"
            )
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_streams", detail, headers={"Retry-After": "5"})
        if (waiting_for := self.waiting_for()) is not None:
            detail = f"this instance is starting and still reads {waiting_for}; try again in a moment"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail, headers={"Retry-After": "1"})
        subscriber = Subscriber(scope)
        # No `await` separates these two, so no event can be published between the position and the subscription.
        position = self.current_position(scope.account_id)
        self._subscribers.setdefault(scope.account_id, set()).add(subscriber)
        SUBSCRIBERS.inc()
        try:
            yield subscriber, position
        finally:
            SUBSCRIBERS.dec()
            others = self._subscribers[scope.account_id]
            others.discard(subscriber)
            if not others:
                del self._subscribers[scope.account_id]

    async def read_missed(self, scope: Scope, since: Position, until: Position) -> list[AccountEvent]:
        """Return the events of a scope between two positions, topic by topic.

        Raises:
            Problem: 400 if `since` is from another stream or too old.
        """
        requests, usage = self._partitions_of(scope.account_id)
        spans = ((requests, since.requests, until.requests), (usage, since.usage, until.usage))
        records = sum(end - start for _, start, end in spans)
        if any(start > end for _, start, end in spans) or records > MAX_REPLAY_RECORDS:
            raise _position_expired()
        return [
            event
            for partition, start, end in spans
            if start < end
            for event in await self._read(partition, start, end, scope)
        ]

    async def _read(self, partition: TopicPartition, start: int, end: int, scope: Scope) -> list[AccountEvent]:
        kafka = self._create_consumer()
        await kafka.start()
        found: list[AccountEvent] = []
        try:
            kafka.assign([partition])
            if start < (await kafka.beginning_offsets([partition]))[partition]:
                raise _position_expired()
            kafka.seek(partition, start)
            async with asyncio.timeout(REPLAY_TIMEOUT_S):
                while await kafka.position(partition) < end and len(found) <= MAX_REPLAY_EVENTS:
                    for record in (await kafka.getmany(partition, timeout_ms=200)).get(partition, ()):
                        event = self._decode(partition, record, scope.account_id) if record.offset < end else None
                        if event is not None and is_visible(scope, event.event):
                            found.append(event)
        except TimeoutError as error:
            raise _position_expired() from error
        finally:
            await kafka.stop()
        if len(found) > MAX_REPLAY_EVENTS:
            raise _position_expired()
        return found

    def _publish(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        for record in records:
            self._next[partition] = record.offset + 1
            # The key is the account's id, so events without subscribers are not even decoded.
            account_id = (record.key or b"").decode(errors="replace")
            if (subscribers := self._subscribers.get(account_id)) is None:
                continue
            event = self._decode(partition, record, account_id)
            if event is None:
                continue
            for subscriber in subscribers:
                if is_visible(subscriber.scope, event.event):
                    subscriber.offer(event)

    def _decode(self, partition: TopicPartition, record: Record, account_id: str) -> AccountEvent | None:
        is_usage = partition.topic == self._usage
        try:
            event: Any = (decode_usage if is_usage else decode_request)(record.value or b"")
        except Poison:
            # The sink sends it to the dead letters; the live stream skips it.
            return None
        if not isinstance(event, RequestClosed | TokensUsed) or event.request.account_id != account_id:
            return None
        return AccountEvent(event, is_usage, record.offset)

    def _partitions_of(self, account_id: str) -> tuple[TopicPartition, TopicPartition]:
        number = partition_for(account_id, self._partitions)
        return TopicPartition(self._requests, number), TopicPartition(self._usage, number)

    def _create_consumer(self) -> KafkaConsumer:
        return KafkaConsumer(
            **self._brokers.options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
            fetch_max_wait_ms=POLL_MS,
        )

    async def _all_partitions(self) -> list[TopicPartition]:
        found = await find_partitions(self._brokers, self._requests, self._usage)
        requests, usage = found[self._requests], found[self._usage]
        if len(requests) != len(usage):
            counts = f"{len(requests)} and {len(usage)} partitions"
            raise Retryable(f"{self._requests} and {self._usage} have {counts}; give both topics the same number")
        self._partitions = len(requests)
        return [*requests, *usage]


def _position_expired() -> Problem:
    return invalid_parameter("Last-Event-ID", "too long ago to resume from; omit it to begin now")


def is_visible(scope: Scope, event: LiveEvent) -> bool:
    request = event.request
    return (
        request.account_id == scope.account_id
        and scope.only_key in ("", request.key_id)
        and scope.only_project in ("", request.project_id)
    )
