"""Dead-letter topics → rows that operators can read and decide about.

Guarantee: each record of a dead-letter topic has one row. A record's place is the row's key, and rows are written in
the order of the records, so the place after the last one is where to go on: no offset is committed anywhere. Crash
window: none; a record that is read again finds its row there, also when two instances read it at once.
"""

import msgspec
import psycopg
from aiokafka import TopicPartition

from tollgate_billing.dead_letters import store
from tollgate_billing.dead_letters.quarantine import quarantine_unrateable
from tollgate_billing.dead_letters.store import Letter, Source
from tollgate_common.clock import utc_now
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.consumer import SESSION_TIMEOUT_MS, Batches
from tollgate_common.kafka.faststream import FastStreamConsumer
from tollgate_common.kafka.records import Record, sent_at
from tollgate_common.postgres.connection import Pool
from tollgate_common.sequence import MAX_SEQ
from tollgate_common.topics import WITH_DEAD_LETTERS

LINGER_S = 0.2


class _Stamp(msgspec.Struct):
    boot_id: str = ""
    seq: int = -1


class _Request(msgspec.Struct):
    request_id: str = ""
    account_id: str = ""


class _Event(msgspec.Struct):
    """As much of an event as tells which one it is; what is wrong with the rest does not matter here."""

    stamp: _Stamp | None = None
    request: _Request | None = None
    account_id: str = ""


_decoder = msgspec.json.Decoder(_Event)


def create_consumer(
    brokers: Brokers, prefix: str, pool: Pool, rating_group: str, *, session_timeout_ms: int = SESSION_TIMEOUT_MS
) -> FastStreamConsumer:
    """Build the consumer of all dead-letter topics.

    Args:
        brokers: how to connect to Kafka.
        prefix: the deployment's prefix of topics and groups.
        pool: connections to the catalog's database.
        rating_group: the consumer group that rates usage. A model whose usage it rejects is quarantined.
        session_timeout_ms: how long the group waits for a member that sends no heartbeat.
    """
    letters = LetterHandler(pool, rating_group)
    return FastStreamConsumer(
        brokers,
        f"{prefix}.billing.dead-letters",
        [topic.dead_letters(prefix) for topic in WITH_DEAD_LETTERS],
        letters.handle,
        transient=(psycopg.OperationalError,),
        resume_at=letters.resume_at,
        linger_s=LINGER_S,
        max_records=500,
        session_timeout_ms=session_timeout_ms,
    )


class LetterHandler:
    """Stores the records of dead-letter topics; see the module for its guarantee."""

    def __init__(self, pool: Pool, rating_group: str) -> None:
        """Build the handler.

        Args:
            pool: of the catalog's database.
            rating_group: the consumer group that rates usage: a model whose usage it dead-letters is quarantined.
        """
        self._pool = pool
        self._rating_group = rating_group

    async def resume_at(self, partition: TopicPartition) -> int:
        async with self._pool.connection() as connection:
            return await store.resume_at(connection, partition.topic, partition.partition)

    async def handle(self, batches: Batches) -> None:
        for records in batches.values():
            letters = [letter_of(record) for record in records]
            async with self._pool.connection() as connection, connection.transaction():
                await store.add(connection, letters)
                await quarantine_unrateable(connection, letters, self._rating_group, utc_now())


def letter_of(record: Record) -> Letter:
    """The row of a record, whoever wrote it: a header that is missing or garbled costs what it would have told."""
    headers = {name: _clean((value or b"").decode(errors="replace")) for name, value in record.headers}
    source = Source.parse(headers.get("source", ""))
    own = Source(record.topic, record.partition, record.offset)
    event = _event(record.value)
    stamp = event.stamp or _Stamp()
    request = event.request or _Request()
    return Letter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        source=(source or own).text(),
        source_topic=source.topic if source else None,
        source_partition=source.partition if source else None,
        source_offset=source.offset if source else None,
        consumer=headers.get("group", ""),
        reason=headers.get("reason", "no reason was given"),
        key=record.key,
        value=record.value,
        sent_at=sent_at(record),
        boot_id=_clean(stamp.boot_id) or None,
        seq=stamp.seq if 0 <= stamp.seq < MAX_SEQ else None,
        request_id=_clean(request.request_id) or None,
        account_id=_clean(request.account_id or event.account_id) or None,
    )


def _event(value: bytes | None) -> _Event:
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Event()


def _clean(text: str) -> str:
    """PostgreSQL's text holds no zero character."""
    return text.replace("\0", "\ufffd")
