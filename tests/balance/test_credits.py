"""Credit: once by its id, taken back only from what is available."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import pytest

from balance.world import USD, BalanceDatabase, Boot, World, adjusted, granted
from tollgate_balance.credits import consumer as credits_consumer
from tollgate_balance.credits.handlers import adjust_credit
from tollgate_balance.leases.rules import UpdateLease
from tollgate_common.errors import Poison
from tollgate_common.events import CreditGranted
from tollgate_common.postgres.connection import Pool
from tollgate_common.topics import Topic
from waiting import PATIENCE_S, until

pytestmark = pytest.mark.engines


async def has_posted(world: World, account_id: str, amount_nano: int) -> bool:
    return (await world.account(account_id)).get("posted_nano") == amount_nano


async def test_a_grant_counts_once(world: World) -> None:
    grant = granted("a", 5 * USD)
    await world.send_credit(grant, grant, granted("a", 1), grant, adjusted("a", -2))
    async with world.crediting() as consumer:
        await until(lambda: has_posted(world, "a", 5 * USD - 1))
        assert consumer.waiting_for() is None
    async with world.crediting():
        await world.send_credit(grant, granted("a", 10))
        await until(lambda: has_posted(world, "a", 5 * USD + 9))

    postings = await world.query("SELECT kind, debit, credit, amount_nano FROM postings ORDER BY posting_id")
    assert [tuple(posting.values()) for posting in postings] == [
        ("grant", "promo_expense", "customer_credit", 5 * USD),
        ("grant", "promo_expense", "customer_credit", 1),
        ("adjustment", "customer_credit", "adjustments", 2),
        ("grant", "promo_expense", "customer_credit", 10),
    ]
    await world.check_books()


async def test_what_can_never_be_credited_goes_to_the_dead_letters(world: World) -> None:
    known = granted("a", 1)
    await world.send_raw(Topic.CREDITS, b"{}", headers=[("bad", b"\xff\xfe")])
    await world.send_raw(Topic.CREDITS, None, key=b"a")  # type: ignore[arg-type] # a tombstone
    await world.send_credit(
        granted("b", 1, source="gift"),
        granted("b", 0),
        granted("b", 10**19),
        granted("nul \0", 1),
        granted("b", 1, expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
        msgspec.structs.replace(granted("b", 1), at=datetime(2020, 1, 1)),
        adjusted("b", 0),
        msgspec.structs.replace(adjusted("b", 1), reason=" "),
        granted("b", 1, currency="EUR"),
        msgspec.structs.replace(adjusted("b", 1), currency="usd"),
        known,
        granted("a", 2, grant_id=known.grant_id),
        granted("a", 10, currency="USD"),
    )
    async with world.crediting():
        await until(lambda: has_posted(world, "a", 11))
        await until(lambda: has_letters(world, 13))

    reasons = sorted(reason.split(";")[0].split(":")[0] for _, reason in await world.dead_letters(Topic.CREDITS))
    assert reasons == sorted(
        [
            "not decodable",
            "not decodable",
            "source is 'gift'",
            "amount_nano is 0",
            "amount_nano is 10000000000000000000",
            "account_id is 'nul \\x00'",
            "amount_nano is 0",
            f"{known.grant_id} was posted before with ('a', 1, 'promo'), and now arrived with ('a', 2, 'promo')",
            "expires_at is 2020-01-01 00",
            "at is 2020-01-01 00",
            "reason is empty",
            "currency is 'EUR'",
            "currency is 'usd'",
        ]
    )
    assert await world.account("b") == {}
    await world.check_books()


async def has_letters(world: World, count: int) -> bool:
    return sum(await world.ends(Topic.CREDITS.dead_letters(world.prefix))) == count


async def test_credit_waits_while_its_account_cannot_be_written(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A lock that is not granted in time stands for a database that is away: the partition waits, nothing is lost."""
    await world.credit("a", 1)
    await world.execute("SET lock_timeout = 200")
    async with await psycopg.AsyncConnection.connect(world.dsn) as other:
        await other.execute("SELECT FROM accounts FOR UPDATE")
        await world.send_credit(granted("a", 10), granted("a", 100))
        async with world.crediting():
            await until(lambda: asyncio.sleep(0, "will be retried in" in caplog.text))
            await other.rollback()
            await until(lambda: has_posted(world, "a", 111))
    await world.check_books()


async def test_an_error_that_nobody_expected_ends_the_consumer_before_it_commits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(_pool: Pool, _grant: CreditGranted) -> None:
        raise RuntimeError("broken")

    await world.send_credit(granted("a", 1), granted("a", 10))
    with monkeypatch.context() as patch:
        patch.setattr(credits_consumer, "grant_credit", break_down)
        with pytest.raises(RuntimeError, match="broken"):
            await asyncio.wait_for(world.credits_consumer().run(), PATIENCE_S)
    async with world.crediting():
        await until(lambda: has_posted(world, "a", 11))


async def test_a_reduction_takes_what_is_available_and_the_rest_from_what_comes(books: BalanceDatabase) -> None:
    await books.credit("a", 100)
    lease = await books.lease("boot", "a", 60)
    first, second = adjusted("a", -70), adjusted("a", -10)
    for adjustment in (first, first, second):
        await adjust_credit(books.pool, adjustment)
    assert await books.account("a") == {"posted_nano": 60, "held_nano": 60, "due_nano": 40, "version": 4}

    await adjust_credit(books.pool, adjusted("a", 35))
    assert await books.account("a") == {"posted_nano": 60, "held_nano": 60, "due_nano": 5, "version": 5}
    await books.ask(UpdateLease(lease.lease_id, "a", "boot", 58, 0, close=False, rev=2))
    assert await books.account("a") == {"posted_nano": 58, "held_nano": 58, "due_nano": 3, "version": 6}
    await books.credit("a", 20)
    assert await books.account("a") == {"posted_nano": 75, "held_nano": 58, "due_nano": 0, "version": 7}

    taken = await books.query(
        "SELECT reference, sum(amount_nano)::bigint AS sum FROM postings WHERE credit = 'adjustments' GROUP BY 1"
    )
    assert {row["reference"]: row["sum"] for row in taken} == {first.adjustment_id: 70, second.adjustment_id: 10}
    await books.check_books()


async def test_an_adjustment_is_not_another_under_the_same_id(books: BalanceDatabase) -> None:
    known = adjusted("a", 5)
    await adjust_credit(books.pool, known)
    with pytest.raises(Poison, match="was posted before with"):
        await adjust_credit(books.pool, adjusted("a", 6, known.adjustment_id))
    with pytest.raises(Poison, match="was posted before with"):
        await adjust_credit(books.pool, adjusted("b", 5, known.adjustment_id))
    assert (await books.account("a"))["posted_nano"] == 5


async def test_more_credit_than_an_account_can_hold_is_refused(books: BalanceDatabase) -> None:
    for _ in range(9):
        await books.credit("a", 10**18)
    with pytest.raises(Poison, match="cannot be stored"):
        await books.credit("a", 10**18)
    assert (await books.account("a"))["posted_nano"] == 9 * 10**18


async def test_usage_and_credit_of_one_account_at_once_leave_the_books_right(world: World) -> None:
    boot = Boot()
    await world.send([boot.used("a", 3) for _ in range(500)])
    await world.send_credit(*(granted("a", 2) for _ in range(50)), *(adjusted("a", -1) for _ in range(50)))
    async with world.consuming(), world.crediting():
        await until(world.has_consumed_all)
        await until(lambda: has_counted(world, 50))

    account = await world.account("a")
    assert account["posted_nano"] >= account["held_nano"] == 0
    assert await world.posted("usage", "a") == -1_500
    assert await world.posted("grant", "a") == 100
    await world.check_books()


async def has_counted(world: World, count: int) -> bool:
    rows: list[dict[str, Any]] = await world.query(
        "SELECT (SELECT count(*) FROM grants) AS grants, (SELECT count(*) FROM adjustments) AS adjustments"
    )
    return rows == [{"grants": count, "adjustments": count}]
