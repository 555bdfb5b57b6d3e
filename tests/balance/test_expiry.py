"""Credit that expires, on real PostgreSQL: posted once, by its clock, and never what a lease holds."""

import asyncio
import random
from datetime import timedelta

import pytest

from balance.world import BalanceDatabase, Boot, World, adjusted, granted
from tollgate_balance.credits.handlers import adjust_credit
from tollgate_balance.expiry.handlers import expire_credit
from tollgate_balance.leases.boots import fence_silent_boots, release_drained_boots
from tollgate_balance.leases.rules import UpdateLease
from tollgate_balance.reconciliation.source import LedgerReconciliationSource
from tollgate_common.clock import utc_now
from tollgate_common.errors import Poison
from waiting import until

pytestmark = pytest.mark.engines

SOON = timedelta(hours=1)


async def expired_to(books: BalanceDatabase) -> dict[str, int]:
    rows = await books.query(
        "SELECT credit::text AS account, sum(amount_nano)::bigint AS sum FROM postings WHERE kind = 'expiry' GROUP BY 1"
    )
    return {row["account"]: row["sum"] for row in rows}


async def test_what_is_left_expires_once_and_goes_back_to_where_it_came_from(books: BalanceDatabase) -> None:
    expires = [
        await books.credit("a", 10, source=source, expires_at=utc_now() + SOON)
        for source in ("promo", "payment", "manual")
    ]
    kept = await books.credit("a", 5)
    await expire_credit(books.pool)
    assert await expired_to(books) == {}

    await adjust_credit(books.pool, adjusted("a", -4))
    await books.pass_expiry(*expires)
    await asyncio.gather(*(expire_credit(books.pool) for _ in range(3)))

    assert await expired_to(books) == {"promo_expense": 6, "breakage": 10, "adjustments": 10}
    assert await books.remaining("a") == dict.fromkeys(expires, 0) | {kept: 5}
    assert (await books.account("a"))["posted_nano"] == 5
    await books.check_books()


async def test_usage_burns_the_credit_that_expires_first(world: World) -> None:
    kept = await world.credit("a", 100)
    first = await world.credit("a", 50, expires_at=utc_now() + SOON)
    boot = Boot()
    await world.send([boot.used("a", 20) for _ in range(3)])
    async with world.consuming():
        await until(world.has_consumed_all)
    assert await world.remaining("a") == {kept: 100, first: 50}

    late = await world.credit("a", 1, priority=1)
    assert await world.remaining("a") == {kept: 90, first: 0, late: 1}
    await world.pass_expiry(first)
    assert await world.posted("expiry", "a") == 0
    await world.check_books()


async def test_what_a_lease_holds_expires_when_it_comes_back_and_usage_on_its_way_burns_it(world: World) -> None:
    promo = await world.credit("a", 100, expires_at=utc_now() + SOON)
    edge = Boot()
    lease = await world.lease(edge.boot_id, "a", 60)
    await world.pass_expiry(promo)
    assert await world.posted("expiry", "a") == -40
    assert (await world.renew(edge.boot_id)).shrink == [lease.lease_id]

    await world.send([edge.used("a", 25, lease.lease_id)])
    async with world.consuming():
        await until(world.has_consumed_all)
    assert await world.remaining("a") == {promo: 35}
    await world.ask(UpdateLease(lease.lease_id, "a", edge.boot_id, 40, 0, close=False, rev=2))
    assert await world.posted("expiry", "a") == -60
    await world.ask(UpdateLease(lease.lease_id, "a", edge.boot_id, 25, 0, close=True, rev=3))

    assert await world.posted("expiry", "a") == -75
    assert await world.account("a") == {"posted_nano": 0, "held_nano": 0, "due_nano": 0, "version": 6}
    await world.check_books()


async def test_what_a_dead_boot_held_expires_with_its_release(world: World) -> None:
    promo = await world.credit("a", 100, expires_at=utc_now() + SOON)
    await world.lease("edge", "a", 60)
    await world.pass_expiry(promo)
    await fence_silent_boots(world.pool, timedelta())
    await world.execute("UPDATE boots SET usage_ends = '{}'")
    await release_drained_boots(world.pool, world.usage_topic)

    assert await world.posted("expiry", "a") == -100
    assert (await world.account("a"))["posted_nano"] == 0
    await world.check_books()


async def test_credit_that_comes_after_its_expiry_is_posted_and_expires(books: BalanceDatabase) -> None:
    grant = await books.credit("a", 10, expires_at=utc_now() + timedelta(milliseconds=50))
    await asyncio.sleep(0.1)
    await expire_credit(books.pool)
    assert (await books.posted("grant", "a"), await books.posted("expiry", "a")) == (10, -10)
    assert await books.remaining("a") == {grant: 0}


async def test_a_refund_after_the_expiry_does_not_expire(books: BalanceDatabase) -> None:
    promo = await books.credit("a", 10, expires_at=utc_now() + SOON)
    await adjust_credit(books.pool, adjusted("a", -4))
    await books.pass_expiry(promo)
    refund = adjusted("a", 4)
    for _ in range(2):
        await adjust_credit(books.pool, refund)
    await expire_credit(books.pool)

    assert (await books.account("a"))["posted_nano"] == 4
    assert await books.remaining("a") == {promo: 0, refund.adjustment_id: 4}
    with pytest.raises(Poison, match="was posted before with"):
        await books.credit("a", 4, grant_id=refund.adjustment_id)
    await books.check_books()


async def test_an_adjustment_is_no_grant_of_the_same_id(books: BalanceDatabase) -> None:
    grant_id = await books.credit("a", 10)
    with pytest.raises(Poison, match="is already the id of a grant"):
        await adjust_credit(books.pool, adjusted("a", 10, grant_id))
    assert await books.query("SELECT FROM adjustments") == []


@pytest.mark.parametrize("run", range(3))
async def test_any_interleaving_keeps_every_stored_sum(books: BalanceDatabase, run: int) -> None:
    """Transactions of several accounts at once, in a random order; the reconciler finds every sum right."""
    # Drawn here: workers of one run must agree on the tests' names.
    seed = random.randrange(10**6)
    chance, edge = random.Random(seed), Boot()
    await books.renew(edge.boot_id)
    print(f"seed {seed}")
    accounts = ("a", "b")

    async def live(account_id: str) -> None:
        grants, leases = [], []
        for _ in range(25):
            amount_nano = chance.randint(1, 40)
            match chance.choice(("grant", "adjust", "lease", "lease", "shrink", "close", "expire")):
                case "grant":
                    options = {"expires_at": utc_now() + SOON} if chance.random() < 0.7 else {}
                    priority = chance.choice((1, 100))
                    grants.append(await books.credit(account_id, amount_nano, priority=priority, **options))
                case "adjust":
                    await adjust_credit(books.pool, adjusted(account_id, chance.choice((-1, 1)) * amount_nano))
                case "lease" if (await books.account(account_id)).get("posted_nano", 0) > amount_nano:
                    leases.append(await books.try_lease(edge.boot_id, account_id, amount_nano))
                case "shrink" | "close" as what if leases and (lease := leases.pop()) is not None:
                    limit_nano = lease.limit_nano // 2
                    close = what == "close"
                    await books.ask(
                        UpdateLease(lease.lease_id, account_id, edge.boot_id, limit_nano, 0, close, lease.rev + 1)
                    )
                case "expire":
                    await books.pass_expiry(*chance.sample(grants, min(2, len(grants))))

    await asyncio.gather(*(live(account_id) for account_id in accounts))
    assert await LedgerReconciliationSource(books.pool, "").drifts(utc_now()) == []
    await books.check_books()


async def test_a_grant_may_come_again_after_it_has_burned(books: BalanceDatabase) -> None:
    grant = granted("a", 10)
    for _ in range(2):
        await books.credit("a", 10, grant_id=grant.grant_id)
        await adjust_credit(books.pool, adjusted("a", -1))
    assert (await books.account("a"))["posted_nano"] == 8
