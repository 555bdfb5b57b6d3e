"""credits.v1 → grants and adjustments in the ledger: a low-volume topic, on FastStream.

Guarantee: at-least-once delivery, exactly-once effect, because each grant and adjustment counts once by its id. An
offset is committed after its record's transaction. Crash window: between the two; the record is read again and is a
repetition. A record of a partition that has gone to another instance is a repetition there, too.

FastStream's defaults would lose credit, so each that matters is set here. An error that nobody expected it would log
and pass over; here it rewinds to its record and ends the process.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from faststream import AckPolicy, BaseMiddleware, StreamMessage
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from prometheus_client import Counter

from tollgate_balance.credits.handlers import adjust_credit, grant_credit
from tollgate_balance.database.retries import until_stored
from tollgate_common.errors import Poison
from tollgate_common.events import CreditAdjusted, CreditEvent, CreditGranted, decode_credit
from tollgate_common.kafka.brokers import Brokers, SaslMechanism
from tollgate_common.kafka.consumer import SESSION_TIMEOUT_MS, STALE_AFTER_S, heartbeat_interval_ms
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

CREDITS = Counter("tollgate_balance_credits", "Grants and adjustments handled, repetitions included.")

# How long a handler may go on when the process is told to end; cut off, its record is read again.
GRACE_S = 5.0
LOGINS: Mapping[SaslMechanism, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


class CreditsConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is not typed
    """One member of the group that consumes credits.v1; see the module for its guarantee."""

    def __init__(
        self,
        brokers: Brokers,
        group: str,
        topic: str,
        pool: Pool,
        dead_letters: DeadLetters,
        *,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        self._brokers = brokers
        self._group = group
        self._topic = topic
        self._pool = pool
        self._dead_letters = dead_letters
        self._session_timeout_ms = session_timeout_ms
        self._has_joined = False
        self._busy_since: float | None = None

    def waiting_for(self) -> str | None:
        """None while this member makes progress, otherwise what it waits for."""
        if not self._has_joined:
            return f"a partition assignment of {self._topic}"
        busy_s = time.monotonic() - (self._busy_since or time.monotonic())
        return f"a credit that has not been stored for {busy_s:.0f} s" if busy_s > STALE_AFTER_S else None

    async def run(self) -> None:
        """Consume until cancelled.

        Raises:
            whatever the handler raises: the process ends with it, and its successor reads the record again.
        """
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        broker = self._broker(failed)
        await broker.start()
        try:
            await failed
        finally:
            await broker.stop()

    def _broker(self, failed: "asyncio.Future[None]") -> KafkaBroker:
        broker = KafkaBroker(
            # It splits none itself.
            self._brokers.bootstrap.split(","),
            security=_security(self._brokers),
            # It publishes nothing: dead letters go through the service's own producer.
            consumer_only=True,
            allow_auto_create_topics=False,
            # The handler takes the record as it is.
            apply_types=False,
            graceful_timeout=GRACE_S,
            middlewares=[partial(_EndsAtErrors, failed)],
            logger=log,
            log_level=logging.DEBUG,
        )
        subscriber = broker.subscriber(
            self._topic,
            group_id=self._group,
            # Acknowledges after the handler; after an error it reads the record again. One record at a time, so what
            # it commits, every consumed partition, is what has been handled.
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=heartbeat_interval_ms(self._session_timeout_ms),
            listener=self,
            no_reply=True,
        )
        subscriber(self.handle, parser=_parse, decoder=_take_record)
        return broker

    async def handle(self, record: ConsumerRecord) -> None:
        """Make one record's effect durable; while the database is away its partition waits."""
        self._busy_since = time.monotonic()
        try:
            event = decode_credit(record.value or b"")
            await until_stored(lambda: self._store(event), f"credit {record.partition}@{record.offset}")
        except Poison as poison:
            await self._dead_letters.send(record, poison)
        self._busy_since = None
        CREDITS.inc()

    async def _store(self, event: CreditEvent) -> None:
        match event:
            case CreditGranted():
                await grant_credit(self._pool, event)
            case CreditAdjusted():
                await adjust_credit(self._pool, event)

    async def on_partitions_assigned(self, _assigned: set[TopicPartition]) -> None:
        self._has_joined = True

    async def on_partitions_revoked(self, _revoked: set[TopicPartition]) -> None:
        self._has_joined = False


def _security(brokers: Brokers) -> BaseSecurity:
    """`Brokers.security` in FastStream's own types."""
    context = brokers.tls.context if brokers.tls is not None else None
    if brokers.login is None:
        return BaseSecurity(context)
    return LOGINS[brokers.login.mechanism](
        brokers.login.username, brokers.login.password.get_secret_value(), ssl_context=context
    )


class _EndsAtErrors(BaseMiddleware):
    """Tells an error to whoever runs the broker, which would only log it."""

    def __init__(self, failed: "asyncio.Future[None]", msg: Any, /, *, context: Any) -> None:
        super().__init__(msg, context=context)
        self._failed = failed

    async def after_processed(
        self, exc_type: type[BaseException] | None = None, exc_val: BaseException | None = None, exc_tb: Any = None
    ) -> bool | None:
        if isinstance(exc_val, Exception) and not self._failed.done():
            self._failed.set_exception(exc_val)
        return await super().after_processed(exc_type, exc_val, exc_tb)


async def _parse(record: ConsumerRecord, parse: Callable[[ConsumerRecord], Awaitable[Any]]) -> Any:
    # Without the headers: it would fail at one that is no text, and no one needs them.
    return await parse(dataclasses.replace(record, headers=()))


async def _take_record(message: StreamMessage[ConsumerRecord]) -> ConsumerRecord:
    return message.raw_message
