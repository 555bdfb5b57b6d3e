"""The outbox: a service's database stores the messages for other services, and a publisher sends them to Kafka.

Guarantee: a row is published if and only if its transaction commits, at least once, in the order of its key. If several
rows of a key of a compacted topic are pending, only the newest is published, because compaction would keep no other.
Crash window: after Kafka's commit, before the delete. The rows are then published again with the same version, and
readers ignore or deduplicate them. The transactional id fences a zombie publisher, so an older value never follows a
newer one in a compacted topic.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import psycopg
from aiokafka.errors import KafkaError
from psycopg.rows import DictRow

from tollgate_common.crash_points import CrashPoint, reach
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.compacted import VERSION_HEADER
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres.connection import Connection, connect
from tollgate_common.retries import retry
from tollgate_common.statements import Statements
from tollgate_common.topics import SPECS, Topic

SQL = Statements("tollgate_common")
BATCH_ROWS = 2_000
# Maximum interval between two reads of the table, in case a notification is lost.
POLL_S = 1.0


class Message(NamedTuple):
    """A message to publish. A `payload` of None is a tombstone. `version` increases with each message of a key."""

    topic: Topic
    key: str
    version: int
    payload: bytes | None


async def add(connection: Connection, message: Message) -> None:
    """Add a message to the outbox, in the caller's transaction. The caller must have locked the row of the key."""
    await connection.execute(
        SQL["outbox_add"],
        {"topic": message.topic.value, "key": message.key, "version": message.version, "payload": message.payload},
    )


async def add_many(connection: Connection, messages: Sequence[Message]) -> None:
    """Add many messages with one statement. The rules of `add` apply."""
    await connection.execute(
        SQL["outbox_add_many"],
        {
            "topics": [message.topic.value for message in messages],
            "keys": [message.key for message in messages],
            "versions": [message.version for message in messages],
            "payloads": [message.payload for message in messages],
        },
    )


class Publisher:
    """Publishes the outbox of one database. Several may run; the one with the database's lock works."""

    def __init__(self, brokers: Brokers, dsn: str, prefix: str, service: str) -> None:
        self._brokers = brokers
        self._dsn = dsn
        self._prefix = prefix
        self._transactional_id = f"{prefix}.outbox.{service}"

    async def run(self) -> None:
        """Publish until canceled. Retry while PostgreSQL or Kafka is unavailable."""
        await retry(self._lead, "publishing the outbox", psycopg.OperationalError, KafkaError)

    async def _lead(self) -> NoReturn:
        async with await connect(self._dsn) as connection:
            await connection.execute(SQL["outbox_lock"])
            # After the lock, because the start fences the predecessor.
            producer = create_producer(self._brokers, transactional_id=self._transactional_id)
            await producer.start()
            try:
                await connection.execute("LISTEN outbox")
                while True:
                    while await self._publish(connection, producer):
                        pass
                    async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                        pass
            finally:
                await producer.stop()

    async def _publish(self, connection: Connection, producer: KafkaProducer) -> int:
        rows = await (await connection.execute(SQL["outbox_take"], {"limit": BATCH_ROWS})).fetchall()
        if not rows:
            return 0
        reach(CrashPoint.BEFORE_PUBLISH)
        async with producer.transaction():
            sent = [
                await producer.send(
                    Topic(row["topic"]).named(self._prefix),
                    row["payload"],
                    row["key"].encode(),
                    headers=[(VERSION_HEADER, str(row["version"]).encode())],
                )
                for row in without_superseded(rows)
            ]
            # The transaction would commit although a send failed, so wait for each of them.
            await asyncio.gather(*sent)
            reach(CrashPoint.WHILE_PUBLISHING)
        reach(CrashPoint.AFTER_PUBLISH)
        await connection.execute(SQL["outbox_delete"], {"ids": [row["id"] for row in rows]})
        reach(CrashPoint.AFTER_DELETE)
        return len(rows)


def without_superseded(rows: Sequence[DictRow]) -> Sequence[DictRow]:
    """Return the newest row of each key of a compacted topic, and all rows of other topics."""
    newest: dict[tuple[str, str], DictRow] = {}
    kept = []
    for row in rows:
        if SPECS[Topic(row["topic"])].retention_ms is not None:
            kept.append(row)
            continue
        key = row["topic"], row["key"]
        if key not in newest or newest[key]["version"] <= row["version"]:
            newest[key] = row
    return [*kept, *newest.values()]
