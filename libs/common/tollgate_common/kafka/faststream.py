"""Consume a low-volume topic with FastStream.

Guarantee: at-least-once delivery. Offsets are committed for each partition, after the handler returns. A transient
error is retried with back-off while the partition waits. A `Poison` error sends the record to the dead-letter topic.
Any other error ends the process without a commit, and the next process reads the record again.
Crash window: between the handler's effect and the commit. The records are handled again, so a handler's effect must be
idempotent.

FastStream's defaults lose messages, so this module sets or replaces each of them; see
`docs/decisions/0027-consume-low-volume-topics-with-faststream.md`.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faststream import AckPolicy, BaseMiddleware, StreamMessage
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from tollgate_common.errors import Poison, Retryable
from tollgate_common.kafka.brokers import Brokers, SaslMechanism
from tollgate_common.kafka.consumer import (
    REBALANCE_TIMEOUT_MS,
    SESSION_TIMEOUT_MS,
    STALE_AFTER_S,
    Batches,
    heartbeat_interval_ms,
    reject_commits_without_generation,
)
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.records import Record, lighten
from tollgate_common.retries import retry

log = logging.getLogger(__name__)

# How long a handler may continue after the process is asked to stop. Its records are then read again.
GRACE_S = 5.0
# FastStream waits this long for records, and then as long again before the next fetch.
POLL_MS = 100
LOGINS: Mapping[SaslMechanism, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}

HandleBatches = Callable[[Batches], Awaitable[None]]
ResumeAt = Callable[[TopicPartition], Awaitable[int]]


class FastStreamConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is not typed
    """One member of a consumer group; see the module for its guarantee."""

    def __init__(
        self,
        brokers: Brokers,
        group: str,
        topics: Sequence[str],
        handle: HandleBatches,
        *,
        transient: tuple[type[Exception], ...] = (Retryable,),
        dead_letters: DeadLetters | None = None,
        resume_at: ResumeAt | None = None,
        linger_s: float = 0.0,
        max_records: int = 1,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        """Build the member; `run` joins the group.

        Args:
            brokers: how to connect to Kafka.
            group: the consumer group.
            topics: full names.
            handle: makes the effect of the records durable. It must be safe to repeat.
            transient: errors of `handle` and `resume_at` to retry, such as those of an unavailable database.
            dead_letters: takes a record that `handle` rejects with `Poison`. Needs `max_records=1`, because the error
                does not name a record.
            resume_at: returns the offset at which to resume a partition, for a handler that stores its position with
                its effect. No offset is then committed. By default the committed offset is used.
            linger_s: minimum time between two batches, unless the first is full.
            max_records: maximum number of records in a batch.
            session_timeout_ms: how long the group waits for a member that sends no heartbeat.
        """
        assert dead_letters is None or max_records == 1
        self.group = group
        self._brokers = brokers
        self._topics = list(topics)
        self._handle = handle
        self._transient = transient
        self._dead_letters = dead_letters
        self._resume_at = resume_at
        self._linger_s = linger_s
        self._max_records = max_records
        self._session_timeout_ms = session_timeout_ms
        self._has_joined = False
        self._busy = asyncio.Lock()
        self._busy_since: float | None = None
        self._resuming: asyncio.Task[None] | None = None

    def waiting_for(self) -> str | None:
        """None while this member makes progress, otherwise what it waits for."""
        if not self._has_joined:
            return f"a partition assignment of {', '.join(self._topics)}"
        busy_s = time.monotonic() - (self._busy_since or time.monotonic())
        return f"records that have not been stored for {busy_s:.0f} s" if busy_s > STALE_AFTER_S else None

    async def run(self) -> None:
        """Consume until canceled.

        Raises:
            KafkaError: Kafka is unavailable at the start.
            Exception: any error of the handler that is neither transient nor `Poison`.
        """
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        broker = self._create_broker()
        try:
            await broker.start()
            reject_commits_without_generation(self._kafka)
            lighten(self._kafka)
            await self._failed
        finally:
            await self._cancel_resuming()
            await broker.stop()

    def _create_broker(self) -> KafkaBroker:
        broker = KafkaBroker(
            # FastStream does not split the list.
            self._brokers.bootstrap.split(","),
            security=_security(self._brokers),
            # Dead letters go through the service's own producer.
            consumer_only=True,
            allow_auto_create_topics=False,
            # The handler takes records, not parsed models.
            apply_types=False,
            graceful_timeout=GRACE_S,
            middlewares=[partial(_ErrorReporter, self._fail)],
            logger=log,
            log_level=logging.DEBUG,
        )
        options: dict[str, Any] = {"batch": True, "max_records": self._max_records, "batch_timeout_ms": POLL_MS}
        self._subscriber: Any = broker.subscriber(
            *self._topics,
            group_id=self.group,
            # Disables FastStream's acknowledgement, which commits every consumed partition. This class commits.
            ack_policy=AckPolicy.MANUAL,
            # A position that the log no longer has, or a group without one, starts at the oldest record.
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=heartbeat_interval_ms(self._session_timeout_ms),
            rebalance_timeout_ms=max(REBALANCE_TIMEOUT_MS, self._session_timeout_ms),
            max_partition_fetch_bytes=8 << 20,
            listener=self,
            no_reply=True,
            # A single record is passed on as soon as it arrives; a batch waits for the next poll.
            **(options if self._max_records > 1 else {}),
        )
        self._subscriber(self._consume, parser=_parse, decoder=_records)
        return broker

    @property
    def _kafka(self) -> Any:
        """FastStream's client, which exists once the subscriber starts."""
        return self._subscriber.consumer

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _consume(self, records: Sequence[Record]) -> None:
        started = time.monotonic()
        async with self._busy:
            if self._failed.done():
                # The process ends. A commit now would skip the records that failed.
                return
            batches = _by_partition(records)
            self._busy_since = started
            await self._make_durable(batches, records)
            await self._commit(batches)
            self._busy_since = None
        if len(records) < self._max_records:
            await asyncio.sleep(max(0.0, started + self._linger_s - time.monotonic()))

    async def _make_durable(self, batches: Batches, records: Sequence[Record]) -> None:
        first = records[0]
        what = f"{self.group}: {first.topic}[{first.partition}]@{first.offset}"
        try:
            await retry(lambda: self._handle(batches), what, *self._transient)
        except Poison as poison:
            if self._dead_letters is None:
                raise
            # If this write fails, its error ends the process.
            await self._dead_letters.send(first, poison)

    async def _commit(self, batches: Batches) -> None:
        if self._resume_at is not None:
            return
        try:
            await self._kafka.commit(
                {partition: OffsetAndMetadata(records[-1].offset + 1, "") for partition, records in batches.items()}
            )
        except KafkaError as error:
            # The effect is durable. The next commit covers these records, or another member repeats them.
            log.warning("%s: offsets not committed: %r", self.group, error)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._has_joined = True
        if self._resume_at is None or not assigned:
            return
        # Before the first await, or records arrive ahead of the seek.
        self._kafka.pause(*assigned)
        self._resuming = asyncio.create_task(self._resume(self._resume_at, sorted(assigned)))

    async def on_partitions_revoked(self, _revoked: set[TopicPartition]) -> None:
        self._has_joined = False
        await self._cancel_resuming()
        # The next owner must not start before this member's batch has ended.
        async with self._busy:
            pass

    async def _resume(self, resume_at: ResumeAt, partitions: Sequence[TopicPartition]) -> None:
        """Seek outside the listener, where an error would be swallowed and a wait would stop the heartbeats."""
        try:
            for partition in partitions:
                what = f"{self.group}: position of {partition.topic}[{partition.partition}]"
                offset = await retry(partial(resume_at, partition), what, *self._transient)
                self._kafka.seek(partition, offset)
                self._kafka.resume(partition)
        except Exception as error:  # noqa: BLE001 - passed to `run`, which raises it
            self._fail(error)

    async def _cancel_resuming(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            await asyncio.wait([self._resuming])
            self._resuming = None


class _ErrorReporter(BaseMiddleware):
    """Pass an error to `run`. FastStream would log it and continue with the next message."""

    def __init__(self, fail: Callable[[BaseException], None], msg: Any, /, *, context: Any) -> None:
        super().__init__(msg, context=context)
        self._fail = fail

    async def after_processed(
        self, exc_type: type[BaseException] | None = None, exc_val: BaseException | None = None, exc_tb: Any = None
    ) -> bool | None:
        if isinstance(exc_val, Exception):
            self._fail(exc_val)
        return await super().after_processed(exc_type, exc_val, exc_tb)


def _security(brokers: Brokers) -> BaseSecurity:
    """Convert `Brokers.security` to FastStream's types."""
    context = brokers.tls.context if brokers.tls is not None else None
    if brokers.login is None:
        return BaseSecurity(context)
    return LOGINS[brokers.login.mechanism](
        brokers.login.username, brokers.login.password.get_secret_value(), ssl_context=context
    )


async def _parse(message: Record | tuple[Record, ...], _parse: Callable[[Any], Awaitable[Any]]) -> StreamMessage[Any]:
    # Replaces FastStream's parser, which decodes the headers and fails on one that is not UTF-8.
    return StreamMessage(message, b"")


async def _records(message: StreamMessage[Any]) -> Sequence[Record]:
    message_or_batch = message.raw_message
    return message_or_batch if isinstance(message_or_batch, tuple) else (message_or_batch,)


def _by_partition(records: Sequence[Record]) -> Batches:
    batches: dict[TopicPartition, list[Record]] = defaultdict(list)
    for record in records:
        batches[TopicPartition(record.topic, record.partition)].append(record)
    return batches
