"""The contract tests run against our server, or against a real one when TOLLGATE_TEST_CLICKHOUSE_URL names it."""

import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

from local.clickhouse.running import connect, connect_async, running_server


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`http://[user:password@]host:port` of the server under test."""
    if url := os.environ.get("TOLLGATE_TEST_CLICKHOUSE_URL"):
        yield url
        return
    with running_server(tmp_path_factory.mktemp("clickhouse") / "data") as server:
        yield server.url


@pytest.fixture
def database(server_url: str) -> Iterator[str]:
    """A database of the test's own."""
    name = f"test_{uuid4().hex}"
    admin = connect(server_url)
    admin.command(f"CREATE DATABASE {name}")
    yield name
    admin.command(f"DROP DATABASE {name}")
    admin.close()


@pytest.fixture
def client(server_url: str, database: str) -> Iterator[Client]:
    connected = connect(server_url, database)
    yield connected
    connected.close()


@pytest.fixture
async def async_client(server_url: str, database: str) -> AsyncIterator[AsyncClient]:
    connected = await connect_async(server_url, database)
    yield connected
    await connected.close()


@pytest.fixture
def events(client: Client) -> str:
    """A table with a constraint and a deduplication window, such as the sinks use."""
    client.command("""
        CREATE TABLE events (id UInt64, text String, CONSTRAINT small CHECK id < 1000000000)
        ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100
    """)
    return "events"
