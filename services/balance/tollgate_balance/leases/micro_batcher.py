"""Micro-batching: calls that arrive while others are in progress are processed together.

Fifty calls for one account lock its row once instead of fifty times, and fifty accounts cost one transaction. The
throughput rises many times, at the same latency.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

# Bounds one transaction. The rest of a longer queue goes into the next one.
MAX_TOGETHER = 500

CallT = TypeVar("CallT")
AnswerT = TypeVar("AnswerT")


class MicroBatcher(Generic[CallT, AnswerT]):
    def __init__(self, answer: Callable[[Sequence[CallT]], Awaitable[Sequence[AnswerT]]], lanes: int = 4) -> None:
        """Build the batcher.

        Args:
            answer: processes calls and returns one result a call. At most `lanes` invocations run at once, never
                two with calls of one key.
            lanes: the number of transactions that run side by side. A transaction that waits delays only its lane.
        """
        self._answer = answer
        self._lanes: list[list[tuple[CallT, asyncio.Future[AnswerT]]]] = [[] for _ in range(lanes)]
        self._workers: dict[int, asyncio.Task[None]] = {}

    async def ask(self, key: str, call: CallT) -> AnswerT:
        """Wait for the result of one call.

        Raises:
            the error that `answer` raised for the batch that contains this call.
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
            # The error goes to the callers of this batch. The next batch is not affected.
            [result] = await asyncio.gather(answer, return_exceptions=True)
            for number, (_, future) in enumerate(together):
                if future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result[number])
        del self._workers[lane]
