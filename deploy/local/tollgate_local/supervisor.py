"""Starts parts in the order of their needs, starts again those that end, stops all in the reverse order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Never, Self

from tollgate_local.errors import ProcessError
from tollgate_local.processes import ManagedProcess, ProcessSpec, Reaper, Tell
from tollgate_local.tasks import end_tasks

# One that lived this long is started again as if it had never failed.
SETTLED_AFTER_S = 60.0
TELL_EVERY_S = 5.0


@dataclass(frozen=True)
class Patience:
    """With a part that dies again and again: the delay doubles from death to death."""

    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    # None never gives up.
    quick_deaths_allowed: int | None = 5


async def nothing_to_prepare() -> None: ...


async def forever() -> Never:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody fulfils this future")


@dataclass(frozen=True)
class Part:
    """A process that the supervisor keeps alive, or, without `spec`, a step that is done once."""

    name: str
    # Asked anew at each start, after `prepare`.
    spec: Callable[[], ProcessSpec] | None
    # Runs once, when all that it depends on is ready.
    prepare: Callable[[], Awaitable[None]] = nothing_to_prepare
    depends_on: tuple[str, ...] = ()


class Supervisor:
    """Enter to start, leave to stop. `tell` gets a line a person can read for everything that happens."""

    def __init__(self, parts: Sequence[Part], reaper: Reaper, tell: Tell, patience: Patience | None = None) -> None:
        self._parts = parts
        self._reaper = reaper
        self._tell = tell
        self._patience = patience or Patience()
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._processes: dict[str, ManagedProcess] = {}
        self._tasks: list[asyncio.Task[Never]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep(part), name=part.name) for part in self._parts]
        return self

    async def wait_ready(self) -> None:
        """Returns when every part was ready once; raises the first failure instead."""
        started_at = time.monotonic()
        everything = asyncio.create_task(self._wait_all_ready())
        try:
            while not everything.done():
                await asyncio.wait([everything, *self._tasks], timeout=TELL_EVERY_S, return_when="FIRST_COMPLETED")
                self._raise_failure()
                if waiting := [name for name, ready in self._ready.items() if not ready.is_set()]:
                    self._tell(f"still waiting for {', '.join(waiting)} ({time.monotonic() - started_at:.0f} s)")
        finally:
            everything.cancel()

    def pid(self, name: str) -> int | None:
        """The process id of a part while it runs: for those who kill parts to see them come back."""
        process = self._processes.get(name)
        return process.pid if process else None

    async def _wait_all_ready(self) -> None:
        for ready in self._ready.values():
            await ready.wait()

    async def wait_failure(self) -> Never:
        """Waits for as long as every part can be kept alive; then raises why one cannot."""
        await asyncio.wait(self._tasks, return_when="FIRST_COMPLETED")
        self._raise_failure()
        raise AssertionError("a part's task ends only by an error")

    def _raise_failure(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def _keep(self, part: Part) -> Never:
        for need in part.depends_on:
            await self._ready[need].wait()
        await part.prepare()
        if part.spec is None:
            self._ready[part.name].set()
            await forever()
        else:
            await self._keep_alive(part.name, part.spec)

    async def _keep_alive(self, name: str, spec: Callable[[], ProcessSpec]) -> Never:
        quick_deaths, patience = 0, self._patience
        while True:
            process = self._processes[name] = ManagedProcess(spec(), self._reaper)
            failure = await self._live(process)
            if not self._ready[name].is_set():
                # What is wrong at the first start is wrong with the machine or the settings, and stays wrong.
                raise failure
            quick_deaths = 1 if process.uptime_s > SETTLED_AFTER_S else quick_deaths + 1
            if patience.quick_deaths_allowed is not None and quick_deaths > patience.quick_deaths_allowed:
                raise ProcessError(f"gave up on {name}, which failed {quick_deaths} times in a row: {failure}")
            delay_s = min(patience.first_delay_s * 2 ** min(quick_deaths - 1, 20), patience.longest_delay_s)
            self._tell(f"{failure}\nstarting {name} again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)

    async def _live(self, process: ManagedProcess) -> ProcessError:
        """One life of a process; returns what ended it."""
        name = process.spec.name
        await process.start()
        try:
            took_s = await process.wait_ready()
        except ProcessError as failure:
            await process.stop()
            return failure
        self._ready[name].set()
        self._tell(f"{name} is ready after {took_s:.1f} s")
        return await process.wait_end()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await end_tasks(self._tasks)
        left = {part.name: part for part in self._parts}
        while left:
            needed = {need for part in left.values() for need in part.depends_on}
            last = [name for name in left if name not in needed]
            if started := [self._processes[name] for name in last if name in self._processes]:
                self._tell(f"stopping {', '.join(process.spec.name for process in started)}")
                await asyncio.gather(*(process.stop() for process in started))
            for name in last:
                del left[name]
