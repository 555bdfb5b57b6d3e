"""A database and topics for one measurement, on the engines that tests use."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from engines import stores
from engines.run import find_engines
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.postgres import connection as postgres
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.topics import create_topics


class Place(NamedTuple):
    brokers: Brokers
    prefix: str
    dsn: str


@asynccontextmanager
async def own_place(partitions: int) -> AsyncIterator[Place]:
    """Create a temporary place with the balance service's tables."""
    engines, prefix = find_engines(), stores.unique_name()
    brokers = Brokers(engines.kafka_bootstrap)
    with stores.postgres_database(engines.postgres_dsn) as dsn:
        await migrate_postgres(dsn, "tollgate_common", "tollgate_balance")
        await create_topics(brokers, prefix, partitions, 1)
        try:
            yield Place(brokers, prefix, dsn)
        finally:
            await stores.delete_topics(brokers, prefix)


async def kept_database(name: str) -> str:
    """Return the DSN of a database that is kept for later runs. It is created if it does not exist."""
    admin_dsn = find_engines().postgres_dsn
    async with await postgres.connect(admin_dsn) as admin:
        with contextlib.suppress(psycopg.errors.DuplicateDatabase):
            await admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = urlsplit(admin_dsn)._replace(path=f"/{name}").geturl()
    await migrate_postgres(dsn, "tollgate_common", "tollgate_balance")
    return dsn
