"""A limit on the concurrent queries of each account, so that a heavy account delays itself and not the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from tollgate_common.errors import Problem

MAX_RUNNING = 4
MAX_WAITING = 32
WAIT_TIMEOUT_S = 5.0


class QueryLimiter:
    def __init__(
        self, max_running: int = MAX_RUNNING, max_waiting: int = MAX_WAITING, wait_timeout_s: float = WAIT_TIMEOUT_S
    ) -> None:
        self._max_running = max_running
        self._max_total = max_running + max_waiting
        self._wait_timeout_s = wait_timeout_s
        # Only accounts with a running or waiting query have an entry: its semaphore, and how many queries it has.
        self._accounts: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @property
    def is_idle(self) -> bool:
        return not self._accounts

    @asynccontextmanager
    async def slot(self, account_id: str) -> AsyncIterator[None]:
        """Wait for one of the account's slots, and hold it while the query runs.

        Raises:
            Problem: 429 if the account has the maximum of running and waiting queries, or the wait times out.
        """
        semaphore, queries = self._accounts.get(account_id, (asyncio.Semaphore(self._max_running), 0))
        if queries >= self._max_total:
            raise self._too_many()
        self._accounts[account_id] = (semaphore, queries + 1)
        try:
            try:
                await asyncio.wait_for(semaphore.acquire(), self._wait_timeout_s)
            except TimeoutError as error:
                raise self._too_many() from error
            try:
                yield
            finally:
                semaphore.release()
        finally:
            queries = self._accounts[account_id][1] - 1
            if queries:
                self._accounts[account_id] = (semaphore, queries)
            else:
                del self._accounts[account_id]

    def _too_many(self) -> Problem:
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too_many_queries",
            f"the account's earlier queries are still running; at most {self._max_running} run at once. Retry after "
            "one has ended",
            headers={"Retry-After": "1"},
        )
