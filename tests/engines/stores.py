"""A database or a prefix of topics for one test alone, on the shared engines."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import sql

from tollgate_common.kafka.brokers import Brokers


@dataclass(frozen=True)
class ClickHouseDatabase:
    """How to reach one database, in the pieces that clickhouse-connect wants and as one URL."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def url(self) -> str:
        return f"http://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"


# As Kafka, PostgreSQL and ClickHouse write them; what tests provoke in a store is among them too.
COMPLAINT = re.compile(r"\b(WARN|ERROR|FATAL|PANIC)\b|Fencing broker|has been fenced")
LAST_COMPLAINTS = 15


def complaints_in(log: str) -> list[str]:
    """The last lines of an engine's log that tell of something wrong, cut to a width that can be read."""
    return [line[:300] for line in log.splitlines() if COMPLAINT.search(line)][-LAST_COMPLAINTS:]


def unique_name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@contextmanager
def postgres_database(admin_dsn: str) -> Iterator[str]:
    """The DSN of a new, empty database, which is dropped after, whoever is still connected."""
    name = unique_name()
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(admin_dsn)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def clickhouse_database(server_url: str) -> Iterator[ClickHouseDatabase]:
    """A new, empty database, which is dropped after."""
    server = urlsplit(server_url)
    assert server.hostname
    assert server.port
    database = ClickHouseDatabase(
        server.hostname, server.port, server.username or "", server.password or "", unique_name()
    )
    with httpx.Client(base_url=server_url, timeout=30) as client:
        client.post("/", content=f"CREATE DATABASE {database.database}").raise_for_status()
        try:
            yield database
        finally:
            client.post("/", content=f"DROP DATABASE {database.database} SYNC").raise_for_status()


async def delete_topics(brokers: Brokers, prefix: str) -> None:
    """Deletes every topic whose name starts with `prefix`."""
    admin = AIOKafkaAdminClient(**brokers.options)
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if topics:
            await admin.delete_topics(topics)
    finally:
        await admin.close()
