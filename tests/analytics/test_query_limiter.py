"""An account's questions wait for each other, and for nobody else's."""

import asyncio

import pytest

from tollgate_analytics.query.limiter import QueryLimiter
from tollgate_common.errors import Problem


async def hold(limiter: QueryLimiter, account_id: str, entered: list[str], until: asyncio.Event) -> None:
    async with limiter.slot(account_id):
        entered.append(account_id)
        await until.wait()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_heavy_account_waits_while_another_is_let_in() -> None:
    limiter, entered, until = QueryLimiter(max_running=2, max_waiting=3), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(limiter, "heavy", entered, until)) for _ in range(5)]
    await settled()
    assert entered == ["heavy", "heavy"]
    tasks.append(asyncio.create_task(hold(limiter, "light", entered, until)))
    await settled()
    assert entered == ["heavy", "heavy", "light"]
    with pytest.raises(Problem, match="at most 2 run at once") as refused:
        await hold(limiter, "heavy", entered, until)
    assert refused.value.status == 429
    until.set()
    await asyncio.gather(*tasks)
    assert entered.count("heavy") == 5
    assert limiter.is_idle


async def test_who_waits_too_long_is_refused_and_leaves_no_trace() -> None:
    limiter, entered, until = QueryLimiter(max_running=1, wait_timeout_s=0.01), list[str](), asyncio.Event()
    first = asyncio.create_task(hold(limiter, "a", entered, until))
    await settled()
    with pytest.raises(Problem):
        await hold(limiter, "a", entered, until)
    until.set()
    await first
    assert limiter.is_idle
    await hold(limiter, "a", entered, until)
    assert entered == ["a", "a"]


async def test_a_question_that_is_given_up_lets_the_next_in() -> None:
    limiter, entered, until = QueryLimiter(max_running=1), list[str](), asyncio.Event()
    first = asyncio.create_task(hold(limiter, "a", entered, until))
    second = asyncio.create_task(hold(limiter, "a", entered, until))
    await settled()
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert limiter.is_idle
