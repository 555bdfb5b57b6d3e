"""Lease calls on real PostgreSQL, many at once: nobody gets what is not there."""

import asyncio
import random
from collections.abc import Sequence
from functools import partial

import psycopg
import pytest

from balance.world import BalanceDatabase
from tollgate_balance.leases.boots import Renewal
from tollgate_balance.leases.handlers import answer_calls
from tollgate_balance.leases.micro_batcher import MicroBatcher
from tollgate_balance.leases.rules import Answer, Grant, LeaseCall, UpdateLease
from tollgate_common.errors import Problem
from tollgate_common.ids import new_id
from tollgate_common.lease_protocol import LeaseOutcome
from tollgate_common.postgres.connection import Pool
from waiting import PATIENCE_S

pytestmark = pytest.mark.engines


def outcome(answer: Answer | Problem) -> str:
    return answer.outcome if isinstance(answer, Answer) else answer.code


async def test_fifty_grants_at_once_never_exceed_what_is_posted(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    await books.renew("boot")
    grants = [Grant(new_id(), "a", "boot", 7, 0) for _ in range(50)]

    # Each in a transaction of its own, as from many instances of the service, and each sent twice.
    answers = await asyncio.gather(*(books.ask(call) for call in grants for _ in range(2)))

    outcomes = [outcome(answer) for [answer] in answers]
    assert (outcomes.count("done"), outcomes.count("retry")) == (28, 72)
    assert outcomes[::2] == outcomes[1::2]
    assert (await books.account("a"))["held_nano"] == 98
    await books.check_books()


async def test_calls_that_wait_together_are_answered_as_if_each_were_alone(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    await books.renew("boot")
    batcher: MicroBatcher[LeaseCall, Answer | Problem] = MicroBatcher(partial(answer_calls, books.pool))
    grants = [Grant(new_id(), "a", "boot", 7, 0) for _ in range(50)]
    answers = await asyncio.gather(*(batcher.ask("a", call) for call in grants))

    assert [outcome(answer) for answer in answers] == ["done"] * 14 + ["retry"] * 36
    assert (await books.account("a"))["held_nano"] == 98
    assert (await books.account("a"))["version"] == 2, "all fifty are one change of the account"
    await books.check_books()


async def test_calls_of_many_accounts_together_are_each_decided_on_their_own(books: BalanceDatabase) -> None:
    for number in range(10):
        await books.credit(f"a{number}", 10 * number + 1)
    await books.renew("boot")
    twice = new_id()
    calls = [Grant(new_id(), f"a{number % 10}", "boot", 25, 0) for number in range(40)]
    answers = await books.ask(*calls, Grant(twice, "a9", "boot", 1, 0), Grant(twice, "a8", "boot", 1, 0))

    assert [outcome(answer) for answer in answers[-2:]] == ["done", "lease_conflict"]
    done = [call.account_id for call, answer in zip(calls, answers, strict=False) if outcome(answer) == "done"]
    assert [done.count(f"a{number}") for number in range(10)] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    await books.check_books()


async def test_an_error_reaches_everyone_who_asked_and_the_next_call_is_answered() -> None:
    asked: list[Sequence[int]] = []

    async def answer(calls: Sequence[int]) -> list[str]:
        asked.append(calls)
        if len(asked) == 1:
            raise psycopg.OperationalError("away")
        return [f"answer to {call}" for call in calls]

    batcher: MicroBatcher[int, str] = MicroBatcher(answer)
    results = await asyncio.gather(*(batcher.ask("a", number) for number in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["away"] * 3
    assert await batcher.ask("a", 7) == "answer to 7"
    assert asked == [[0, 1, 2], [7]]


async def test_a_caller_that_has_gone_away_does_not_stop_the_others() -> None:
    async def answer(calls: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        return list(calls)

    batcher: MicroBatcher[int, int] = MicroBatcher(answer)
    gone, stays = (asyncio.create_task(batcher.ask("a", number)) for number in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 1


async def test_extend_shrink_close_and_their_repetitions(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    lease = await books.lease("boot", "a", 10)
    calls = [
        UpdateLease(lease.lease_id, "a", "boot", 60, 0, close=False, rev=2),
        UpdateLease(lease.lease_id, "a", "boot", 30, 0, close=False, rev=3),
        UpdateLease(lease.lease_id, "a", "boot", 25, 0, close=True, rev=4),
    ]
    held = []
    for call in calls:
        for _ in range(2):
            [answer] = await books.ask(call)
            assert outcome(answer) == "done"
        held.append((await books.account("a"))["held_nano"])
    assert held == [60, 30, 25]
    [late] = await books.ask(calls[0])
    assert outcome(late) == "conflict"
    await books.check_books()


async def test_what_is_at_fault_is_told(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    await books.renew("boot")
    await books.renew("other")
    lease = await books.lease("boot", "a", 10)
    faults: dict[LeaseCall, str] = {
        Grant(new_id(), "a", "stranger", 1, 0): "boot_not_found",
        Grant(lease.lease_id, "a", "other", 1, 0): "lease_conflict",
        Grant(lease.lease_id, "b", "boot", 1, 0): "lease_conflict",
        UpdateLease(new_id(), "a", "boot", 1, 0, close=False, rev=2): "lease_not_found",
        UpdateLease(lease.lease_id, "a", "other", 1, 0, close=False, rev=2): "lease_conflict",
    }
    for call, code in faults.items():
        [answer] = await books.ask(call)
        assert outcome(answer) == code
    await books.check_books()


async def test_a_fenced_boot_gets_nothing_more_but_may_give_back(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    lease = await books.lease("boot", "a", 50)
    await books.execute("UPDATE boots SET fenced_at = now()")

    answers = await books.ask(
        Grant(new_id(), "a", "boot", 1, 0),
        UpdateLease(lease.lease_id, "a", "boot", 51, 0, close=False, rev=2),
        UpdateLease(lease.lease_id, "a", "boot", 40, 0, close=False, rev=2),
        UpdateLease(lease.lease_id, "a", "boot", 30, 0, close=True, rev=3),
    )
    assert [outcome(answer) for answer in answers] == ["boot_fenced", "boot_fenced", "done", "done"]
    with pytest.raises(Problem, match="was fenced"):
        await books.renew("boot")
    assert (await books.account("a"))["held_nano"] == 30
    await books.check_books()


async def test_the_fence_waits_for_a_grant_in_flight_and_renewals_do_not(books: BalanceDatabase, pool: Pool) -> None:
    await books.renew("boot")
    async with pool.connection() as grant:
        await grant.execute("SELECT FROM boots WHERE boot_id = 'boot' FOR KEY SHARE")
        await asyncio.wait_for(books.renew("boot"), PATIENCE_S)
        async with pool.connection() as fence:
            await fence.execute("SET LOCAL lock_timeout = 100")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await fence.execute("SELECT FROM boots WHERE boot_id = 'boot' FOR UPDATE")
            await fence.rollback()


async def test_a_shortage_asks_the_others_to_shrink(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    await books.credit("b", 100)
    idle, elsewhere = await books.lease("idle", "a", 90), await books.lease("idle", "b", 90)
    named = [idle.lease_id, elsewhere.lease_id]
    assert await books.renew("idle", named) == Renewal([], [], edges=1)

    await books.renew("busy")
    [refused] = await books.ask(Grant(new_id(), "a", "busy", 50, 0))
    assert outcome(refused) == "retry"
    assert await books.renew("idle", named) == Renewal([idle.lease_id], [], edges=2)
    await books.ask(UpdateLease(idle.lease_id, "a", "idle", 20, 0, close=False, rev=2))
    [granted] = await books.ask(Grant(new_id(), "a", "busy", 50, 0))
    assert outcome(granted) == "done"


async def test_a_lease_that_its_boot_does_not_name_is_told_as_an_orphan(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    known, orphan = await books.lease("boot", "a", 1), await books.lease("boot", "a", 2)
    assert await books.renew("boot", [known.lease_id]) == Renewal([], [orphan.lease_id], edges=1)
    assert await books.renew("boot", None) == Renewal([], [], edges=1)
    await books.ask(UpdateLease(orphan.lease_id, "a", "boot", 0, 0, close=True, rev=2))
    assert await books.renew("boot", [known.lease_id]) == Renewal([], [], edges=1)


async def test_random_calls_from_many_boots_keep_the_books(books: BalanceDatabase) -> None:
    """Every kind of call at once, over several accounts and instances; the constraints and the sums hold throughout."""
    dice = random.Random(20)
    for account_id in ("a", "b"):
        await books.credit(account_id, 500)
    for boot in range(3):
        await books.renew(f"boot-{boot}")
    combiners: list[MicroBatcher[LeaseCall, Answer | Problem]] = [
        MicroBatcher(partial(answer_calls, books.pool)) for _ in range(2)
    ]

    async def edge(number: int) -> None:
        boot_id = f"boot-{number}"
        for _ in range(12):
            account_id, lease_id = dice.choice("ab"), new_id()
            batcher = dice.choice(combiners)
            answer = await batcher.ask(account_id, Grant(lease_id, account_id, boot_id, dice.randrange(60), 200))
            rev = 1
            while (
                isinstance(answer, Answer) and answer.lease is not None and answer.outcome is not LeaseOutcome.CONFLICT
            ):
                rev = answer.lease.rev + 1
                close = dice.random() < 0.3 or rev > 5
                call = UpdateLease(lease_id, account_id, boot_id, dice.randrange(120), 150, close, rev)
                answer, copy = await asyncio.gather(*(dice.choice(combiners).ask(account_id, call) for _ in range(2)))
                if close or isinstance(copy, Problem):
                    break

    await asyncio.gather(*(edge(number) for number in range(3)))
    await books.check_books()
