"""Faults: `kill -9`, and a pause that is longer than the group waits for a silent member, which makes a zombie."""

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from tollgate_local.supervisor import Supervisor

POLL_S = 0.02


class Kind(StrEnum):
    KILL = "killed"
    PAUSE = "paused"


class Fault(NamedTuple):
    kind: Kind
    part: str


def draw(parts: Sequence[str], number: int, chance: random.Random) -> list[Fault]:
    """Return so many faults in random order. Each part gets its share of both kinds."""
    every = [Fault(kind, part) for kind in Kind for part in parts]
    faults = (every * (number // len(every) + 1))[: number - number % len(every)]
    faults += chance.sample(every, number % len(every))
    chance.shuffle(faults)
    return faults


class FaultInjector:
    """Injects faults into the processes of a supervisor, which restarts those that die."""

    def __init__(self, supervisor: Supervisor, chance: random.Random, *, zombie_after_s: float) -> None:
        self._supervisor = supervisor
        self._chance = chance
        self._zombie_after_s = zombie_after_s
        # A paused process gets its next fault after it has resumed.
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.done: list[str] = []

    async def inject_all(self, faults: Sequence[Fault], *, every_s: float) -> None:
        """Inject one fault after another, at random moments. A pause continues while other faults are injected."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(self._chance.uniform(0, 2 * every_s))
                pause_s = self._zombie_after_s + self._chance.uniform(1, 2.5)
                group.create_task(self._inject(fault, pause_s, began))

    async def _inject(self, fault: Fault, pause_s: float, began: float) -> None:
        async with self._turns[fault.part]:
            while (pid := self._supervisor.pid(fault.part)) is None:
                await asyncio.sleep(POLL_S)
            self.done.append(f"{time.monotonic() - began:.1f} s: {fault.part} {fault.kind}")
            if fault.kind is Kind.KILL:
                os.kill(pid, signal.SIGKILL)
                while self._supervisor.pid(fault.part) == pid:
                    await asyncio.sleep(POLL_S)
                return
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(pause_s)
            finally:
                os.kill(pid, signal.SIGCONT)
