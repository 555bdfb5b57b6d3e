"""Hits: `kill -9`, and a pause that is longer than the group waits for a silent member, which makes a zombie."""

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


class Hit(NamedTuple):
    kind: Kind
    part: str


def draw(parts: Sequence[str], number: int, chance: random.Random) -> list[Hit]:
    """So many hits in random order; each part gets its share of both kinds."""
    every = [Hit(kind, part) for kind in Kind for part in parts]
    hits = (every * (number // len(every) + 1))[: number - number % len(every)]
    hits += chance.sample(every, number % len(every))
    chance.shuffle(hits)
    return hits


class Hitman:
    """Hits the parts of a supervisor, which starts those that die again."""

    def __init__(self, supervisor: Supervisor, chance: random.Random, *, zombie_after_s: float) -> None:
        self._supervisor = supervisor
        self._chance = chance
        self._zombie_after_s = zombie_after_s
        # One that is paused is hit again when it has woken up.
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.done: list[str] = []

    async def hit_all(self, hits: Sequence[Hit], *, every_s: float) -> None:
        """One after another, at random moments; pauses go on while others are hit."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for hit in hits:
                await asyncio.sleep(self._chance.uniform(0, 2 * every_s))
                pause_s = self._zombie_after_s + self._chance.uniform(1, 2.5)
                group.create_task(self._hit(hit, pause_s, began))

    async def _hit(self, hit: Hit, pause_s: float, began: float) -> None:
        async with self._turns[hit.part]:
            while (pid := self._supervisor.pid(hit.part)) is None:
                await asyncio.sleep(POLL_S)
            self.done.append(f"{time.monotonic() - began:.1f} s: {hit.part} {hit.kind}")
            if hit.kind is Kind.KILL:
                os.kill(pid, signal.SIGKILL)
                while self._supervisor.pid(hit.part) == pid:
                    await asyncio.sleep(POLL_S)
                return
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(pause_s)
            finally:
                os.kill(pid, signal.SIGCONT)
