"""Tasks that end when they are told to.

`asyncio.wait_for` swallows a cancellation that meets a result (Python before 3.12), and the clients of Kafka and
PostgreSQL use it. A task that goes on after it was cancelled makes whoever awaits it hang, and with it every stop.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
ASK_AGAIN_AFTER_S = 0.5


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels until they have ended; how they ended is not told."""
    tasks = list(tasks)
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=ASK_AGAIN_AFTER_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # else asyncio complains of errors that nobody took


async def apart(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, run in a task of its own so that it cannot swallow a cancellation of the caller."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
        return task.result()
    finally:
        await end_tasks([task])
