"""ClickHouse: a client, statements from `.sql` files, and migrations."""

import hashlib
import logging
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, cast
from urllib.parse import urlsplit

from clickhouse_connect.driver import create_async_client
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_common.errors import Damaged

log = logging.getLogger(__name__)

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


async def migrate(url: str, package: str) -> list[str]:
    """Run the package's `clickhouse_migrations/NNNN_name.sql` that have not run yet, in order.

    ClickHouse has no transactional DDL, so each file is one statement and each statement can be repeated
    (`IF NOT EXISTS`): a migration that was killed half-way is run again. Returns the names of those that ran.

    Raises:
        Damaged: a migration that ran has since been edited.
    """
    parts = urlsplit(url)
    database = parts.path.strip("/")
    server = await connect(parts._replace(path="/default").geturl())
    try:
        await server.command("CREATE DATABASE IF NOT EXISTS {database:Identifier}", parameters={"database": database})
    finally:
        await server.close()
    client = await connect(url)
    try:
        return await _migrate(client, package)
    finally:
        await client.close()


async def _migrate(client: AsyncClient, package: str) -> list[str]:
    await client.command(
        "CREATE TABLE IF NOT EXISTS migrations (package String, name String, digest String, "
        "ran_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY (package, name)"
    )
    rows = await client.query(
        "SELECT name, digest FROM migrations WHERE package = {package:String}", parameters={"package": package}
    )
    done: dict[str, str] = dict(cast("Sequence[tuple[str, str]]", rows.result_rows))
    ran = []
    folder = files(package) / "clickhouse_migrations"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        name, text = file.name.removesuffix(".sql"), file.read_text()
        digest = hashlib.sha256(text.encode()).hexdigest()
        if name in done:
            if done[name] != digest:
                raise Damaged(f"migration {name} of {package} was edited after it ran; add a new one instead")
            continue
        await client.command(text)
        await client.insert("migrations", [[package, name, digest]], column_names=["package", "name", "digest"])
        log.info("migration %s ran", name)
        ran.append(name)
    return ran
