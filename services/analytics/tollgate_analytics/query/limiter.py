"""How many questions of one account run at once: a heavy account waits for itself, not the others for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from tollgate_common.errors import Problem

AT_ONCE = 4
WAITING = 32
WAIT_S = 5.0


class Gate:
    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING, wait_s: float = WAIT_S) -> None:
        self._at_once = at_once
        self._most = at_once + waiting
        self._wait_s = wait_s
        # Only of accounts that are asking right now.
        self._doors: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._doors

    @asynccontextmanager
    async def enter(self, account_id: str) -> AsyncIterator[None]:
        """Wait for the account's turn.

        Raises:
            Problem: 429, as many of the account's questions run and wait as may.
        """
        door, inside = self._doors.get(account_id, (asyncio.Semaphore(self._at_once), 0))
        if inside >= self._most:
            raise self._full()
        self._doors[account_id] = (door, inside + 1)
        try:
            try:
                await asyncio.wait_for(door.acquire(), self._wait_s)
            except TimeoutError as error:
                raise self._full() from error
            try:
                yield
            finally:
                door.release()
        finally:
            inside = self._doors[account_id][1] - 1
            if inside:
                self._doors[account_id] = (door, inside)
            else:
                del self._doors[account_id]

    def _full(self) -> Problem:
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too_many_queries",
            f"the account's earlier questions are still being answered; {self._at_once} are answered at once",
            headers={"Retry-After": "1"},
        )
