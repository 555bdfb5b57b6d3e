"""The engines that tests get: they are real, and each test has its own corner of them."""

import clickhouse_connect
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from engines.stores import ClickHouseDatabase
from tollgate_common.kafka.brokers import Brokers

pytestmark = pytest.mark.engines


async def test_kafka_keeps_what_is_acknowledged(brokers: Brokers, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.numbers"
    admin = AIOKafkaAdminClient(**brokers.options)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()

    async with AIOKafkaProducer(**brokers.options, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"one")
    async with AIOKafkaConsumer(
        topic, **brokers.options, group_id=topic_prefix, auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()

    assert record.value == b"one"


async def test_kafka_makes_no_topic_by_itself(brokers: Brokers, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(**brokers.options)
    await admin.start()
    described = await admin.describe_topics([f"{topic_prefix}.never-created"])
    topics = await admin.list_topics()
    await admin.close()

    assert described[0]["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION
    assert f"{topic_prefix}.never-created" not in topics


def test_postgres_database_is_empty_and_utf8(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        encoding = connection.execute("SHOW server_encoding").fetchone()
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()

    assert (encoding, tables) == (("UTF8",), (0,))


def test_clickhouse_database_takes_rows(clickhouse_database: ClickHouseDatabase) -> None:
    client = clickhouse_connect.get_client(
        host=clickhouse_database.host,
        port=clickhouse_database.port,
        username=clickhouse_database.user,
        password=clickhouse_database.password,
        database=clickhouse_database.database,
        autogenerate_session_id=False,
    )
    client.command("CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n")
    client.insert("t", [[1], [2]], column_names=["n"])

    assert client.query("SELECT sum(n) FROM t").result_rows == [(3,)]
    client.close()
