"""The live stream: requests.v1 and usage.v1 as they are written, to whoever listens, without the database between.

Guarantee: a subscriber gets each event of its account that the log has after its position, in the log's order for each
topic, once; or it is told that it was dropped. A position names an offset of each of the two partitions that hold the
account, and the totals up to there, so that a client which comes back with the last id it saw goes on without a hole,
whatever instance answers. What it keeps is bounded: a queue a subscriber. Events that were sent twice
are in the log twice, and are told twice: whoever needs them once asks the usage API.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition
from prometheus_client import Counter, Gauge

from tollgate_analytics.query.parameters import wrong
from tollgate_analytics.query.scopes import Scope
from tollgate_common.errors import Poison, Problem, Retryable
from tollgate_common.events import RequestClosed, TokensUsed, decode_request, decode_usage
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.kafka.records import Record
from tollgate_common.topics import Topic, find_partitions, partition_for

log = logging.getLogger(__name__)

# Events that wait for a slow reader; beyond, it is dropped and told.
QUEUE_EVENTS = 2_000
# How far back a client may resume: what it missed is read again from the log, for it alone.
MAX_REPLAY_RECORDS = 200_000
MAX_REPLAY_EVENTS = 10_000
# Of one account at once.
MAX_SUBSCRIBERS = 50
REPLAY_WITHIN_S = 30.0
POLL_MS = 50

SUBSCRIBERS = Gauge("tollgate_live_subscribers", "Clients that follow the live stream.")
DROPPED = Counter(
    "tollgate_live_dropped_subscribers", "Clients of the live stream that were too slow and were dropped."
)


class Totals(NamedTuple):
    """Since the stream began, resumptions included."""

    requests: int = 0
    errors: int = 0
    tokens: int = 0
    cost_nano: int = 0


class Position(NamedTuple):
    """The next offset of the account's partition of each topic, and what came before."""

    requests: int
    usage: int
    totals: Totals = Totals()

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @staticmethod
    def parse(text: str) -> "Position":
        """Read an id that was sent.

        Raises:
            Problem: 400, it is none.
        """
        try:
            position = _position.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (binascii.Error, ValueError) as error:
            raise wrong("Last-Event-ID", "not an id of this stream; leave it out to begin now") from error
        if min(position.requests, position.usage, *position.totals) < 0:
            raise wrong("Last-Event-ID", "not an id of this stream; leave it out to begin now")
        return position


_position = msgspec.json.Decoder(Position)

LiveEvent = RequestClosed | TokensUsed


class Told(NamedTuple):
    """An event of the account, and where the stream stands after it."""

    event: LiveEvent
    is_usage: bool
    offset: int


class Subscriber:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.queue: asyncio.Queue[Told] = asyncio.Queue(QUEUE_EVENTS)
        self.too_slow = False

    def offer(self, told: Told) -> None:
        try:
            self.queue.put_nowait(told)
        except asyncio.QueueFull:
            self.too_slow = True


class LiveTail:
    """Follows both topics for all subscribers of this process, while there are any or not; one reader, no group."""

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
        """Follow the topics until cancelled.

        Raises:
            Retryable: a topic does not exist, or may not be seen.
        """
        kafka = self._reader()
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
                    self._tell(partition, records)
        finally:
            await kafka.stop()

    def end_of(self, account_id: str) -> Position:
        """Where the stream of an account stands now."""
        requests, usage = self._of(account_id)
        return Position(self._next[requests], self._next[usage])

    def followers(self, account_id: str) -> int:
        return len(self._subscribers.get(account_id, ()))

    @asynccontextmanager
    async def subscribe(self, scope: Scope) -> AsyncIterator[tuple[Subscriber, Position]]:
        """A subscriber that misses nothing from the position on.

        Raises:
            Problem: 429, as many of the account's clients as may follow it; 503, this instance is only starting.
        """
        if self.followers(scope.account_id) >= MAX_SUBSCRIBERS:
            detail = f"{MAX_SUBSCRIBERS} clients follow this account already"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_streams", detail, headers={"Retry-After": "5"})
        if (waiting_for := self.waiting_for()) is not None:
            detail = f"starting, still reading {waiting_for}; try again in a moment"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail, headers={"Retry-After": "1"})
        subscriber = Subscriber(scope)
        # Nothing is awaited between the two, so nothing can be told between.
        position = self.end_of(scope.account_id)
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

    async def missed(self, scope: Scope, since: Position, until: Position) -> list[Told]:
        """What the account's partitions have for a scope between two positions, topic by topic.

        Raises:
            Problem: 400, the position is of another stream, or too long ago.
        """
        requests, usage = self._of(scope.account_id)
        spans = ((requests, since.requests, until.requests), (usage, since.usage, until.usage))
        records = sum(end - start for _, start, end in spans)
        if any(start > end for _, start, end in spans) or records > MAX_REPLAY_RECORDS:
            raise _too_long_ago()
        return [
            told
            for partition, start, end in spans
            if start < end
            for told in await self._read(partition, start, end, scope)
        ]

    async def _read(self, partition: TopicPartition, start: int, end: int, scope: Scope) -> list[Told]:
        kafka = self._reader()
        await kafka.start()
        found: list[Told] = []
        try:
            kafka.assign([partition])
            if start < (await kafka.beginning_offsets([partition]))[partition]:
                raise _too_long_ago()
            kafka.seek(partition, start)
            async with asyncio.timeout(REPLAY_WITHIN_S):
                while await kafka.position(partition) < end and len(found) <= MAX_REPLAY_EVENTS:
                    for record in (await kafka.getmany(partition, timeout_ms=200)).get(partition, ()):
                        told = self._told(partition, record, scope.account_id) if record.offset < end else None
                        if told is not None and sees(scope, told.event):
                            found.append(told)
        except TimeoutError as error:
            raise _too_long_ago() from error
        finally:
            await kafka.stop()
        if len(found) > MAX_REPLAY_EVENTS:
            raise _too_long_ago()
        return found

    def _tell(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        for record in records:
            self._next[partition] = record.offset + 1
            # The key is the account's id: what nobody listens for is not even decoded.
            account_id = (record.key or b"").decode(errors="replace")
            if (subscribers := self._subscribers.get(account_id)) is None:
                continue
            told = self._told(partition, record, account_id)
            if told is None:
                continue
            for subscriber in subscribers:
                if sees(subscriber.scope, told.event):
                    subscriber.offer(told)

    def _told(self, partition: TopicPartition, record: Record, account_id: str) -> Told | None:
        is_usage = partition.topic == self._usage
        try:
            event: Any = (decode_usage if is_usage else decode_request)(record.value or b"")
        except Poison:
            # The sink sends it to the dead letters; here there is nothing to tell.
            return None
        if not isinstance(event, RequestClosed | TokensUsed) or event.request.account_id != account_id:
            return None
        return Told(event, is_usage, record.offset)

    def _of(self, account_id: str) -> tuple[TopicPartition, TopicPartition]:
        number = partition_for(account_id, self._partitions)
        return TopicPartition(self._requests, number), TopicPartition(self._usage, number)

    def _reader(self) -> KafkaConsumer:
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
            raise Retryable(f"{self._requests} and {self._usage} have {counts}; expected as many of each")
        self._partitions = len(requests)
        return [*requests, *usage]


def _too_long_ago() -> Problem:
    return wrong("Last-Event-ID", "too long ago to be told again; leave it out to begin now")


def sees(scope: Scope, event: LiveEvent) -> bool:
    request = event.request
    return (
        request.account_id == scope.account_id
        and scope.only_key in ("", request.key_id)
        and scope.only_project in ("", request.project_id)
    )
