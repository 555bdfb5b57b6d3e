"""Connections to ClickHouse."""

from typing import Any
from urllib.parse import urlsplit

from clickhouse_connect.driver import create_async_client
from clickhouse_connect.driver._backend.http_async import HttpAsyncBackend
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_common.private_api import require, require_parameters

require(AsyncClient, "_backend")
require_parameters(HttpAsyncBackend.request, "retryable", "server_wait", "stream")

# An insert of more rows than this is split into several blocks and parts, and is then not atomic.
MAX_BLOCK_ROWS = 500_000


async def connect(url: str, *, timeout_s: int = 30) -> AsyncClient:
    """Return a client for `http://user:password@host:port/database`. Tasks may share it.

    Raises:
        ValueError: the URL lacks its host or database.
        clickhouse_connect.driver.exceptions.OperationalError: the server is unavailable.
    """
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not database:
        raise ValueError(
            f"the ClickHouse URL has scheme {parts.scheme!r}, host {parts.hostname!r} and database {database!r}; "
            "expected http://user:password@host:8123/database"
        )
    client = await create_async_client(
        interface=parts.scheme,
        host=parts.hostname,
        port=parts.port or (8443 if parts.scheme == "https" else 8123),
        username=parts.username or "default",
        password=parts.password or "",
        database=database,
        # A session runs one query at a time, so a shared client must not have one.
        autogenerate_session_id=False,
        send_receive_timeout=timeout_s,
        compress="lz4",
    )
    _send_inserts_once(client)
    return client


def _send_inserts_once(client: AsyncClient) -> None:
    """Disable the library's retry of inserts whose connection breaks.

    If the engine dies between its dedup log and the part's rename, it drops the second insert and responds with OK. A
    caller that takes an OK to its first insert as proof would then lose the rows.
    """
    backend: Any = client._backend  # noqa: SLF001 - no setting of the client disables the retry
    request = backend.request

    async def request_once(*args: Any, **options: Any) -> Any:
        # Only inserts neither wait for the end of the query nor stream a response.
        if options.get("server_wait") is False and not options.get("stream"):
            options["retryable"] = False
        return await request(*args, **options)

    backend.request = request_once
