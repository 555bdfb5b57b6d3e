"""ClickHouse sessions: a handle that outlives its request, used by one request at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tollgate_local.clickhouse_server.engine import Engine, Handle
from tollgate_local.clickhouse_server.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, ClickHouseError
from tollgate_local.clickhouse_server.request import Request


@dataclass
class _Session:
    handle: Handle | None = None
    is_busy: bool = False
    expiry: asyncio.TimerHandle | None = None


class Sessions:
    """All open sessions by id. Used from the event loop only, so that it needs no lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: dict[str, _Session] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(self, request: Request) -> AsyncIterator[Handle]:
        """The handle of the session that the request names, for this request alone.

        Raises ClickHouseError 373 when another request is using it, 372 when it must exist and does not.
        """
        session_id, timeout_s = request.session_id, request.session_timeout_s
        assert session_id is not None
        if request.session_must_exist and session_id not in self._by_id:
            raise ClickHouseError.refused(SESSION_NOT_FOUND, f"Session {session_id} not found")
        session = self._by_id.setdefault(session_id, _Session())
        if session.is_busy:
            raise ClickHouseError.refused(SESSION_IS_LOCKED, f"Session {session_id} is locked by a concurrent client")
        session.is_busy = True
        if session.expiry is not None:
            session.expiry.cancel()
        try:
            if session.handle is None:
                session.handle = await self._engine.run(self._engine.open)
            yield session.handle
        finally:
            session.is_busy = False
            session.expiry = asyncio.get_running_loop().call_later(timeout_s, self._expire, session_id)

    async def close(self) -> None:
        for session_id, session in list(self._by_id.items()):
            if session.expiry is not None:
                session.expiry.cancel()
            self._expire(session_id)
        await asyncio.gather(*self._closing)

    def _expire(self, session_id: str) -> None:
        session = self._by_id.pop(session_id)
        if session.handle is not None:
            task = asyncio.create_task(self._engine.run(session.handle.close))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
