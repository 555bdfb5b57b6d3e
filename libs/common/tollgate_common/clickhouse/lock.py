"""A lock in a ClickHouse database, which expires when its holder is killed.

ClickHouse has no advisory locks, and `KeeperMap` needs a Keeper. The lock is therefore an empty table whose name is its
whole state: `<name>_<generation>_<expiry>`, the expiry in seconds since 1970 by the server's clock, 0 if the lock is
free. `RENAME TABLE` is a compare-and-swap on it: it is atomic, and of several renames of one table only the first finds
the table. Acquiring, renewing and releasing the lock each rename the table with the highest generation to the next one.

Guarantee: at most one process holds the lock, as long as its holder renews it in time. Crash window: a killed holder
blocks the others until the lock expires, after `LIFETIME_S`.

Limits: it works on one server, in a database of the default engine, `Atomic`. It does not fence: a holder that was
paused for longer than `LIFETIME_S` learns at its next renewal that it has lost the lock, but a statement that it has
already sent still runs. So run only statements under it that can be repeated.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from tollgate_common.errors import Fenced
from tollgate_common.retries import backoff
from tollgate_common.statements import Statements

log = logging.getLogger(__name__)

SQL = Statements("tollgate_common")

LIFETIME_S = 60
RENEWAL_INTERVAL_S = LIFETIME_S / 4
MAX_POLL_S = 1.0
_TABLE_ALREADY_EXISTS, _UNKNOWN_TABLE = 57, 60


class _State(NamedTuple):
    """What a table's name says, and the server's clock when it was read, in seconds since 1970."""

    generation: int
    expires_at: int
    now: int


class Lock:
    """A lock that this process holds; `acquire` makes one."""

    def __init__(self, client: AsyncClient, name: str, state: _State) -> None:
        self._client = client
        self._name = name
        self._state = state
        self._renaming = asyncio.Lock()

    async def renew(self) -> None:
        """Extend the lock to `LIFETIME_S` from now.

        Raises:
            Fenced: the lock expired and another process has taken it over.
        """
        async with self._renaming:
            now = int((await self._client.query(SQL["lock_clock"])).result_rows[0][0])
            await self._change(now + LIFETIME_S)

    async def release(self) -> None:
        """Free the lock. Does nothing if another process has taken it over."""
        async with self._renaming:
            with suppress(Fenced):
                await self._change(0)

    async def _change(self, expires_at: int) -> None:
        renamed = await _rename(self._client, self._name, self._state, expires_at)
        if renamed is None:
            raise Fenced(f"the lock {self._name} expired after {LIFETIME_S} s and another process has taken it over")
        self._state = renamed


@asynccontextmanager
async def acquire(client: AsyncClient, name: str) -> AsyncIterator[Lock]:
    """Hold the lock `name` of the client's database. Wait while another process holds it.

    A task renews the lock meanwhile. The lock must be renewed once more, by `Lock.renew`, before a statement that must
    not run without it.
    """
    lock = await _wait_for(client, name)
    renewing = asyncio.create_task(_renew_loop(lock))
    try:
        yield lock
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        try:
            await lock.release()
        except ClickHouseError as error:
            log.warning("the lock %s could not be released; it expires in %d s: %s", name, LIFETIME_S, error)


async def _wait_for(client: AsyncClient, name: str) -> Lock:
    is_waiting = False
    for delay_s in backoff(max_s=MAX_POLL_S):
        state = max(await _read(client, name), default=None)
        if state is None:
            await client.command(SQL["lock_create"], parameters={"table": _table(name, _State(0, 0, 0))})
            continue
        if state.expires_at <= state.now:
            if state.expires_at:
                log.warning("the lock %s has expired; its holder was killed or paused. It is taken over", name)
            lock = await _take(client, name, state)
            if lock is not None:
                return lock
        elif not is_waiting:
            is_waiting = True
            log.info("waiting for the lock %s; it expires in %d s", name, state.expires_at - state.now)
        await asyncio.sleep(delay_s)
    raise AssertionError("the back-off never ends")


async def _take(client: AsyncClient, name: str, state: _State) -> Lock | None:
    """Acquire a lock that is free or has expired. Return None if another process has done so since `state` was read."""
    taken = await _rename(client, name, state, state.now + LIFETIME_S)
    if taken is None:
        return None
    # The first table can exist twice, if a process creates it when another one has already renamed it.
    others = (other for other in await _read(client, name) if other[:2] != taken[:2])
    if any(other.generation >= taken.generation for other in others):
        await client.command(SQL["lock_drop"], parameters={"table": _table(name, taken)})
        return None
    return Lock(client, name, taken)


async def _renew_loop(lock: Lock) -> None:
    while True:
        await asyncio.sleep(RENEWAL_INTERVAL_S)
        try:
            await lock.renew()
        except ClickHouseError as error:
            log.warning("the renewal of a lock failed and will be retried: %s", error)


async def _read(client: AsyncClient, name: str) -> list[_State]:
    """Return the states that the database has for the lock: one, none before its first use."""
    prefix = f"{name}_"
    found = await client.query(SQL["lock_states"], parameters={"prefix": prefix})
    states = []
    for table, now in found.result_rows:
        generation, expires_at = map(int, table.removeprefix(prefix).split("_"))
        states.append(_State(generation, expires_at, now))
    return states


async def _rename(client: AsyncClient, name: str, state: _State, expires_at: int) -> _State | None:
    """Give the lock its next state. Return None if another process has changed it since `state` was read."""
    new = _State(state.generation + 1, expires_at, state.now)
    try:
        await client.command(SQL["lock_rename"], parameters={"old": _table(name, state), "new": _table(name, new)})
    except DatabaseError as error:
        if error.code not in {_TABLE_ALREADY_EXISTS, _UNKNOWN_TABLE}:
            raise
        return None
    return new


def _table(name: str, state: _State) -> str:
    return f"{name}_{state.generation}_{state.expires_at}"
