"""Rotation of boots: a new boot every day, without a pause.

Consumers reject events of boots that are older than eight days, so a boot must not live longer. Each day a successor
connects and takes over. Its predecessor then makes its last events durable, and reports their number in its last
heartbeat.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tollgate_common.events import StampedEvent
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic
from tollgate_edge.event_log.writer import Batch, EventWriter

log = logging.getLogger(__name__)

BOOT_LIFETIME_S = 24 * 60 * 60.0


class RotatingEventWriter:
    """Records events with the `EventWriter` of the current boot."""

    def __init__(self, start: Callable[[], EventWriter], *, lifetime_s: float = BOOT_LIFETIME_S) -> None:
        """Build it with its first boot; `run` starts it.

        Args:
            start: builds a writer with a new boot.
            lifetime_s: how long a boot may stamp events.
        """
        self._start = start
        self._lifetime_s = lifetime_s
        self._current = start()

    def refusal(self) -> str | None:
        return self._current.refusal()

    def record(self, topic: Topic, account_id: str, build: Callable[[Stamp], StampedEvent]) -> Batch:
        return self._current.record(topic, account_id, build)

    async def run(self, until_idle: Callable[[], Awaitable[None]]) -> None:
        """Run until canceled. Then wait for `until_idle` and end the last boot.

        Raises:
            Exception: any error of the current boot's writer.
        """
        is_ending = False

        async def until_unused() -> None:
            # No request uses a replaced boot. The last boot is in use until the requests have ended.
            if is_ending:
                await until_idle()

        working = asyncio.create_task(self._current.run(until_unused))
        try:
            while True:
                await asyncio.wait([working], timeout=self._lifetime_s)
                if working.done():
                    working.result()
                    return
                working = await self._replace(working, until_unused)
        finally:
            is_ending = True
            await _end(working)

    async def _replace(
        self, working: asyncio.Task[None], until_unused: Callable[[], Awaitable[None]]
    ) -> asyncio.Task[None]:
        successor = self._start()
        following = asyncio.create_task(successor.run(until_unused))
        connected = asyncio.create_task(successor.connected())
        try:
            await asyncio.wait([connected, following, working], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _end(following)
            raise
        finally:
            connected.cancel()
        if following.done():
            following.result()
        if working.done():
            await _end(following)
            return working
        self._current = successor
        log.info("events are stamped by a new boot from now on")
        await _end(working)
        return following


async def _end(working: asyncio.Task[None]) -> None:
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
