"""Runs a statement and sends its result.

A query id, a session and a handle are let go of *before* the last byte leaves: the client may send its next request
at once.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from tollgate_local.clickhouse_server import workspace
from tollgate_local.clickhouse_server.body import Body, Receive
from tollgate_local.clickhouse_server.compression import encoder_for
from tollgate_local.clickhouse_server.engine import Engine, Handle, Result, labelled
from tollgate_local.clickhouse_server.errors import QUERY_WITH_SAME_ID, ClickHouseError
from tollgate_local.clickhouse_server.request import Request
from tollgate_local.clickhouse_server.results import Read
from tollgate_local.clickhouse_server.sessions import Sessions
from tollgate_local.clickhouse_server.statement import Statement

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_KILL_EVERY_S = 0.5


class Answers:
    def __init__(self, engine: Engine, spool: Path) -> None:
        self._engine = engine
        self._spool = spool
        self._sessions = Sessions(engine)
        self._running: set[str] = set()

    async def close(self) -> None:
        await self._sessions.close()

    async def upload(self, request: Request, statement: Statement, rows: bytes, body: Body, send: Send) -> None:
        """Run an INSERT once all its rows have come.

        They go to the engine in a file: its own way to take them piece by piece reports a refused row as success.
        """
        with tempfile.TemporaryFile(dir=self._spool) as file:
            file.write(rows)
            await body.copy_to(file)
            file.flush()
            sql = labelled(request.query_id, statement.reading_file(workspace.path_of(file.fileno())))
            async with self._handle(request) as handle:
                result = await self._engine.run(handle.query, sql, bound=request.bound)
        await send_whole(send, 200, self.headers(request) | _summary(result), b"")

    async def write(self, request: Request, statement: Statement, send: Send) -> None:
        sql = labelled(request.query_id, statement.text)
        output_format = statement.format or request.default_format
        async with self._handle(request) as handle:
            result = await self._engine.run(handle.query, sql, output_format, request.bound)
        # Clients take a format to mean that there is a result to read.
        shown = {"X-ClickHouse-Format": output_format} if result.body else {}
        await send_whole(send, 200, self.headers(request) | _summary(result) | shown, result.body)

    async def read(self, request: Request, statement: Statement, receive: Receive, send: Send) -> None:
        """Block by block, or whole where the format or the client wants it so."""
        encoder = encoder_for(request.accept_encoding)
        headers = self.headers(request) | {"X-ClickHouse-Format": statement.format or request.default_format}
        if encoder.name != "identity":
            headers["Content-Encoding"] = encoder.name
        async with self._handle(request) as handle, self._killed_if_abandoned(request, receive) as is_gone:
            read = Read(handle, request, statement, encoder)
            if read.can_stream:
                result: Result | bytes = await self._stream(read, headers, send, is_gone)
            else:
                result = await self._engine.run(read.whole)
        if isinstance(result, bytes):
            await send({"type": "http.response.body", "body": result})
        else:
            await send_whole(send, 200, headers | _summary(result), result.body)

    async def _stream(self, read: Read, headers: dict[str, str], send: Send, is_gone: asyncio.Event) -> bytes:
        """Sends all but the last piece, and returns that one."""
        tag = uuid4().hex[:16]
        pieces = read.pieces(tag, self.explanation)
        try:
            piece = await self._engine.run(next, pieces)
            await _send_start(send, 200, headers | {"X-ClickHouse-Exception-Tag": tag})
            while not piece.is_last and not is_gone.is_set():
                await send({"type": "http.response.body", "body": piece.body, "more_body": True})
                piece = await self._engine.run(next, pieces)
        finally:
            await self._engine.run(pieces.close)
        return piece.body

    @asynccontextmanager
    async def _handle(self, request: Request) -> AsyncIterator[Handle]:
        """A handle with the request's settings in force. Raises ClickHouseError 216 while another runs under its id."""
        query_id = request.query_id
        if query_id in self._running:
            raise ClickHouseError.refused(QUERY_WITH_SAME_ID, f"Query with id = {query_id} is already running")
        self._running.add(query_id)
        try:
            connect = self._fresh_handle if request.session_id is None else self._session_handle
            async with connect(request) as handle:
                yield handle
        finally:
            self._running.discard(query_id)

    @asynccontextmanager
    async def _fresh_handle(self, request: Request) -> AsyncIterator[Handle]:
        handle = await self._engine.run(self._open_prepared, request)
        try:
            yield handle
        finally:
            await self._engine.run(handle.close)

    def _open_prepared(self, request: Request) -> Handle:
        handle = self._engine.open()
        try:
            workspace.prepare(handle, request, self._spool)
        except ClickHouseError:
            handle.close()
            raise
        return handle

    @asynccontextmanager
    async def _session_handle(self, request: Request) -> AsyncIterator[Handle]:
        async with self._sessions.use(request) as handle:
            undo = await self._engine.run(workspace.snapshot, handle, request)
            try:
                await self._engine.run(workspace.prepare, handle, request, self._spool)
                yield handle
            finally:
                await self._engine.run(workspace.restore, handle, undo)

    @asynccontextmanager
    async def _killed_if_abandoned(self, request: Request, receive: Receive) -> AsyncIterator[asyncio.Event]:
        """Kills the read when its client goes away, so that a query for nobody does not hold a worker."""
        is_gone = asyncio.Event()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            is_gone.set()
            # Until cancelled: the query may be waiting for a worker and not have begun.
            while True:
                await self._engine.kill(request.query_id)
                await asyncio.sleep(_KILL_EVERY_S)

        watcher = asyncio.create_task(watch())
        try:
            yield is_gone
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    def headers(self, request: Request) -> dict[str, str]:
        return {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-ClickHouse-Server-Display-Name": "tollgate-local",
            "X-ClickHouse-Query-Id": request.query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
        }

    def explanation(self, error: ClickHouseError) -> bytes:
        return f"{error} (version {self._engine.version} (chdb))\n".encode(errors="replace")


def _summary(result: Result) -> dict[str, str]:
    return {"X-ClickHouse-Summary": json.dumps({key: str(value) for key, value in result.summary.items()})}


async def send_whole(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    await _send_start(send, status, {**headers, "Content-Length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def _send_start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    pairs = [(name.encode(), value.encode("latin-1", errors="replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
