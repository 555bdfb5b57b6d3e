"""Combines what waits: calls that come while others are being answered are answered together.

One row that everybody wants is taken once for fifty calls instead of fifty times, and fifty rows cost one transaction:
that is many times the throughput, at the same latency.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

# Bounds one transaction; the rest of a long queue goes with the next.
MAX_TOGETHER = 500

CallT = TypeVar("CallT")
AnswerT = TypeVar("AnswerT")


class MicroBatcher(Generic[CallT, AnswerT]):
    def __init__(self, answer: Callable[[Sequence[CallT]], Awaitable[Sequence[AnswerT]]], lanes: int = 4) -> None:
        """Build it around `answer`, which gives an answer for each call.

        Args:
            answer: is called at most `lanes` times at once, and never twice at once with calls of one key.
            lanes: so many transactions run side by side, and one that has to wait holds up its own lane only.
        """
        self._answer = answer
        self._lanes: list[list[tuple[CallT, asyncio.Future[AnswerT]]]] = [[] for _ in range(lanes)]
        self._workers: dict[int, asyncio.Task[None]] = {}

    async def ask(self, key: str, call: CallT) -> AnswerT:
        """Wait for the answer to one call.

        Raises:
            whatever `answer` raised for all the calls that it was given with this one.
        """
        future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        lane = hash(key) % len(self._lanes)
        self._lanes[lane].append((call, future))
        if lane not in self._workers:
            self._workers[lane] = asyncio.create_task(self._work(lane))
        return await future

    async def _work(self, lane: int) -> None:
        while waiting := self._lanes[lane]:
            together, self._lanes[lane] = waiting[:MAX_TOGETHER], waiting[MAX_TOGETHER:]
            answer = self._answer([call for call, _ in together])
            # Its error belongs to those who asked, and the queue goes on.
            [result] = await asyncio.gather(answer, return_exceptions=True)
            for number, (_, future) in enumerate(together):
                if future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result[number])
        del self._workers[lane]
