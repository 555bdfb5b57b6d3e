"""What the ClickHouse client does behind its caller's back, and must not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import OperationalError

from engines.stores import ClickHouseDatabase
from tollgate_common.clickhouse import client as clickhouse

pytestmark = pytest.mark.engines


class BreakingProxy:
    """Stands before the engine and closes the connection of the first insert when its answer comes."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.inserts = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        engine, to_engine = await asyncio.open_connection(self._host, self._port)
        breaks = asyncio.Event()
        requests = asyncio.create_task(self._forward(client, to_engine, breaks))
        try:
            while (answer := await engine.read(1 << 16)) and not breaks.is_set():
                to_client.write(answer)
        finally:
            requests.cancel()
            await asyncio.gather(requests, return_exceptions=True)
            to_engine.close()
            to_client.close()

    async def _forward(
        self, client: asyncio.StreamReader, to_engine: asyncio.StreamWriter, breaks: asyncio.Event
    ) -> None:
        while request := await client.read(1 << 16):
            if b"INSERT" in request:
                self.inserts += 1
                if self.inserts == 1:
                    breaks.set()
            to_engine.write(request)
        to_engine.close()


def as_rows(client: AsyncClient) -> Awaitable[Any]:
    return client.insert("numbers", [[1]], ["number"], column_type_names=["UInt64"])


def as_arrow(client: AsyncClient) -> Awaitable[Any]:
    return client.insert_arrow("numbers", pa.table({"number": [1]}))


@pytest.mark.parametrize("insert", [as_rows, as_arrow])
async def test_an_insert_whose_connection_breaks_is_not_sent_again_unasked(
    clickhouse_database: ClickHouseDatabase, insert: Callable[[AsyncClient], Awaitable[Any]]
) -> None:
    proxy = BreakingProxy(clickhouse_database.host, clickhouse_database.port)
    async with proxy.running() as port:
        url = urlsplit(clickhouse_database.url)._replace(netloc=f"default:@127.0.0.1:{port}").geturl()
        client = await clickhouse.connect(url)
        try:
            await client.command("CREATE TABLE numbers (number UInt64) ENGINE = MergeTree ORDER BY number")
            with pytest.raises(OperationalError):
                await insert(client)
            assert proxy.inserts == 1
            assert (await client.query("SELECT count() FROM numbers")).result_rows == [(1,)]
        finally:
            await client.close()
