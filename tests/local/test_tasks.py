"""A task that swallows a cancellation ends all the same."""

import asyncio

import pytest

from tollgate_local.tasks import apart, end_tasks


async def swallows(times: int) -> str:
    for _ in range(times):
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(600)
    return "not reached"


async def test_end_asks_again() -> None:
    task = asyncio.create_task(swallows(2))
    await asyncio.sleep(0)

    await end_tasks([task])

    assert task.cancelled()


async def test_end_takes_what_has_failed_and_what_is_done() -> None:
    async def fail() -> None:
        raise ValueError("nobody asked")

    tasks = [asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.wait(tasks)

    await end_tasks(tasks)


async def test_apart_gives_the_result_or_the_error() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> int:
        raise ValueError("no such account")

    assert await apart(answer()) == 42
    with pytest.raises(ValueError, match="no such account"):
        await apart(fail())


async def test_a_cancellation_of_the_caller_is_not_swallowed() -> None:
    caller = asyncio.create_task(apart(swallows(1)))
    await asyncio.sleep(0.05)

    caller.cancel()
    await asyncio.wait([caller])

    assert caller.cancelled()
