"""How every test waits for what comes about in another process: patiently, and no longer than needed."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable

# A machine may stand still for many seconds; a test that fails because of it has found nothing.
PATIENCE_S = 120.0
PAUSE_S = 0.02


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    what: str = "",
    *,
    within_s: float = PATIENCE_S,
    working: Iterable[asyncio.Task[None]] = (),
) -> None:
    """Return as soon as the condition holds.

    Args:
        condition: asked again and again.
        what: named if it does not come about.
        within_s: how long to wait.
        working: tasks without whose work it cannot come about; the error of one that has ended is raised at once.

    Raises:
        TimeoutError: it did not come about.
    """
    try:
        async with asyncio.timeout(within_s):
            while not await _holds(condition):
                for task in working:
                    if task.done():
                        task.result()
                await asyncio.sleep(PAUSE_S)
    except TimeoutError as error:
        raise TimeoutError(f"not within {within_s:g} s{what and f': {what}'}") from error


async def _holds(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> bool:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer
