"""The embedded engine: one process owns its folder; every request works through a handle of its own.

Calls into the engine block, so they run in a pool of threads. A handle is used by one thread at a time, and is never
closed under a running call: whoever is cancelled waits for the call first.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote

import chdb

from tollgate_local.clickhouse_server.errors import UNKNOWN_FORMAT, ClickHouseError

P = ParamSpec("P")
T = TypeVar("T")

# The wheel turns these into Python objects of its own; over HTTP they are no formats.
_NOT_FORMATS = {"arrowtable", "dataframe", "datastore"}
_STOP_POLL_S = 0.2
_STOP_POLLS = 25


class Result(NamedTuple):
    """A whole answer and its counters, named as in `X-ClickHouse-Summary`."""

    body: bytes
    summary: dict[str, int]


class Stream:
    """A running SELECT, one block at a time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def next_block(self) -> bytes | None:
        """The next block in the chosen format, None after the last. Raises ClickHouseError."""
        try:
            block = self._stream.fetch()
        except RuntimeError as error:
            raise ClickHouseError.from_engine(error) from error
        return None if block is None else bytes(block.bytes())

    def close(self) -> None:
        """Ends the query, wherever it is; harmless when it has ended."""
        self._stream.close()


class Handle:
    """A private connection: its USE, SET and temporary tables are seen by nobody else."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, sql: bytes, output_format: str = "TSV", bound: Mapping[str, str] | None = None) -> Result:
        """Run a statement to its end. Raises ClickHouseError."""
        _check_format(output_format)
        try:
            result = self._connection.query(sql, output_format, params=dict(bound or {}))
        except RuntimeError as error:
            raise ClickHouseError.from_engine(error) from error
        body = bytes(result.bytes())
        summary = {
            "read_rows": result.storage_rows_read(),
            "read_bytes": result.storage_bytes_read(),
            "written_rows": result.rows_written(),
            "written_bytes": result.bytes_written(),
            "result_rows": result.rows_read(),
            "result_bytes": len(body),
            "elapsed_ns": int(result.elapsed() * 1e9),
        }
        return Result(body, summary)

    def stream(self, sql: bytes, output_format: str, bound: Mapping[str, str]) -> Stream:
        """Start a SELECT; the engine refuses to stream anything else. Raises ClickHouseError."""
        _check_format(output_format)
        try:
            return Stream(self._connection.send_query(sql, output_format, params=dict(bound)))
        except RuntimeError as error:
            raise ClickHouseError.from_engine(error) from error

    def close(self) -> None:
        self._connection.close()


class Engine:
    """Opens the folder `path`, which must exist and have no `?` in its name.

    Raises ClickHouseError when the engine cannot open it.
    """

    def __init__(self, path: Path, workers: int) -> None:
        # A server does not take `1 + 1` for a statement, as the wheel does by default.
        self._target = f"{path}?implicit_select=0"
        try:
            # Kept open: the engine closes with its last handle.
            self._root = Handle(chdb.connect(self._target))
        except RuntimeError as error:
            raise ClickHouseError.from_engine(error) from error
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="engine")
        # KILL QUERY must not wait behind the queries that it kills.
        self._killer = ThreadPoolExecutor(1, thread_name_prefix="killer")
        self._calls = 0
        self.version, self.timezone = self._root.query(b"SELECT version(), timezone()").body.decode().split()

    def open(self) -> Handle:
        return Handle(chdb.connect(self._target))

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call(*args)` in a worker thread, once one is free."""
        return await self._run(self._workers, lambda: call(*args, **kwargs))

    async def kill(self, query_id: str) -> None:
        """Ask the query with this id to end, if it runs."""
        await self._run(self._killer, lambda: self._kill(b"startsWith(query, '" + label(query_id) + b"')"))

    async def stop(self) -> None:
        """End every query, as far as the engine can within a few seconds."""
        for _ in range(_STOP_POLLS):
            if self.is_idle:
                return
            await self._run(self._killer, lambda: self._kill(b"startsWith(query, '/*')"))
            await asyncio.sleep(_STOP_POLL_S)

    @property
    def is_idle(self) -> bool:
        return self._calls == 0

    def close(self) -> None:
        """Let go of the folder; only when idle."""
        self._workers.shutdown()
        self._killer.shutdown()
        self._root.close()

    async def _run(self, pool: Executor, call: Callable[[], T]) -> T:
        self._calls += 1
        future = asyncio.get_running_loop().run_in_executor(pool, call)
        future.add_done_callback(self._count_down)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def _count_down(self, _: asyncio.Future[Any]) -> None:
        self._calls -= 1

    def _kill(self, condition: bytes) -> None:
        handle = self.open()
        try:
            handle.query(b"KILL QUERY WHERE " + condition + b" ASYNC")
        finally:
            handle.close()


def label(query_id: str) -> bytes:
    """The comment that carries a client's query id; quoted so that it cannot end the comment or a string."""
    return b"/*" + quote(query_id, safe="", errors="surrogateescape").encode() + b"*/"


def labelled(query_id: str, sql: bytes) -> bytes:
    """`sql` as the engine runs it: the wheel takes no query id, so a comment carries it for KILL QUERY to find."""
    return label(query_id) + b" " + sql


def _check_format(output_format: str) -> None:
    if output_format.lower() in _NOT_FORMATS:
        raise ClickHouseError.refused(UNKNOWN_FORMAT, f"Unknown format {output_format}")
