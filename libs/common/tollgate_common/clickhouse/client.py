"""Connections to ClickHouse."""

from typing import Any
from urllib.parse import urlsplit

from clickhouse_connect.driver import create_async_client
from clickhouse_connect.driver._backend.http_async import HttpAsyncBackend
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_common.private_api import require, require_parameters

require(AsyncClient, "_backend")
require_parameters(HttpAsyncBackend.request, "retryable", "server_wait", "stream")

# Above these an INSERT is cut into several blocks, and so into several parts, and would not be atomic.
MAX_BLOCK_ROWS = 500_000


async def connect(url: str, *, timeout_s: int = 30) -> AsyncClient:
    """A client for `http://user:password@host:port/database`, safe to share between tasks.

    Raises:
        ValueError: the URL lacks its host or database.
        clickhouse_connect.driver.exceptions.OperationalError: the server does not answer.
    """
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not database:
        raise ValueError("a ClickHouse URL looks like http://user:password@host:8123/database")
    client = await create_async_client(
        interface=parts.scheme,
        host=parts.hostname,
        port=parts.port or (8443 if parts.scheme == "https" else 8123),
        username=parts.username or "default",
        password=parts.password or "",
        database=database,
        # A session runs one query at a time; a shared client must not have one.
        autogenerate_session_id=False,
        send_receive_timeout=timeout_s,
        compress="lz4",
    )
    _send_inserts_once(client)
    return client


def _send_inserts_once(client: AsyncClient) -> None:
    """Make an insert whose connection breaks fail at once.

    clickhouse-connect would send it again by itself. If the engine died between its dedup log and the part's rename,
    the second is dropped and answered with OK, and whoever takes the OK to a first insert as proof has lost the rows.
    """
    backend: Any = client._backend  # noqa: SLF001 - no setting of the client reaches it
    request = backend.request

    async def request_once(*args: Any, **options: Any) -> Any:
        # Who neither waits for the query's end in a body nor streams one inserts.
        if options.get("server_wait") is False and not options.get("stream"):
            options["retryable"] = False
        return await request(*args, **options)

    backend.request = request_once
