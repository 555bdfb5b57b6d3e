"""A dead edge's holds come back, and only then when nothing that it had acknowledged can still come."""

import logging
import time
from datetime import timedelta

import pytest
from aiokafka.errors import KafkaError

from balance.world import PARTITIONS, Boot, World, adjusted, running
from tollgate_balance.credits.handlers import adjust_credit
from tollgate_balance.workers import sweeper as module
from tollgate_balance.workers.sweeper import Sweeper, read_ends
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.topics import partition_for
from waiting import until

pytestmark = pytest.mark.engines

LEASE = timedelta(seconds=30)


def sweeper(world: World, lease: timedelta = LEASE) -> Sweeper:
    return Sweeper(world.brokers, world.usage_topic, world.pool, lease)


async def falls_silent(world: World, boot: Boot) -> None:
    await world.execute(
        "UPDATE boots SET renewed_at = renewed_at - interval '1 minute' WHERE boot_id = %s", boot.boot_id
    )


async def held(world: World, account_id: str) -> int:
    return (await world.account(account_id))["held_nano"]


async def test_acknowledged_usage_is_settled_before_the_rest_is_released(world: World) -> None:
    await world.credit("a", 100)
    dead, alive = Boot(), Boot()
    lease, other = await world.lease(dead.boot_id, "a", 60), await world.lease(alive.boot_id, "a", 10)
    await world.send([dead.used("a", 45, lease.lease_id)])
    await falls_silent(world, dead)
    await sweeper(world).sweep()
    assert await world.query("SELECT boot_id FROM boots WHERE fenced_at IS NOT NULL") == [{"boot_id": dead.boot_id}]
    await sweeper(world).sweep()
    assert await held(world, "a") == 70, "the log is not consumed yet"

    async with world.consuming():
        await until(world.has_consumed_all)
    assert await held(world, "a") == 25
    await sweeper(world).sweep()

    assert await held(world, "a") == other.hold_nano == 10
    assert await world.posted("write_off", "a") == 0
    assert await world.query("SELECT released_at IS NULL AS lives FROM boots ORDER BY boot_id") == [
        {"lives": False},
        {"lives": True},
    ]
    await world.check_books()


async def test_every_partition_must_be_consumed(world: World) -> None:
    """Also one on which the dead boot's account has nothing: a lease's usage is found by no partition alone."""
    await world.credit("a", 100)
    dead, idle = Boot(), next(f"idle-{n}" for n in range(100) if partition_for(f"idle-{n}", 2) != partition_for("a", 2))
    await world.lease(dead.boot_id, "a", 60)
    await world.send([Boot().used(idle, 1)])
    await world.execute(
        "INSERT INTO consumer_offsets VALUES (%s, %s, 0, 1)", world.usage_topic, partition_for("a", PARTITIONS)
    )
    await falls_silent(world, dead)
    await sweeper(world).sweep()
    assert await held(world, "a") == 60
    async with world.consuming():
        await until(world.has_consumed_all)
        await sweeper(world).sweep()
    assert await held(world, "a") == 0
    await world.check_books()


async def test_usage_from_a_spool_after_the_release_is_written_off_as_far_as_nothing_covers_it(world: World) -> None:
    await world.credit("a", 100)
    dead, alive = Boot(), Boot()
    lease = await world.lease(dead.boot_id, "a", 60)
    spooled = dead.used("a", 60, lease.lease_id)
    await falls_silent(world, dead)
    async with world.consuming():
        await until(world.has_consumed_all)
        await sweeper(world).sweep()
        assert await held(world, "a") == 0
        new = await world.lease(alive.boot_id, "a", 90)
        await world.send([spooled, spooled])
        await until(world.has_consumed_all)

    assert await world.posted("usage", "a") == -60
    assert await world.posted("write_off", "a") == 50, "ten were available, ninety are another's"
    assert await held(world, "a") == new.hold_nano == 90
    await world.check_books()


async def test_without_kafka_nothing_is_released(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await world.credit("a", 100)
    dead = Boot()
    await world.lease(dead.boot_id, "a", 60)
    async with world.consuming():
        await until(world.has_consumed_all)

    async def fail(_brokers: Brokers, _topic: str) -> list[int]:
        raise KafkaError("no broker")

    await falls_silent(world, dead)
    monkeypatch.setattr(module, "read_ends", fail)
    with caplog.at_level(logging.WARNING):
        async with running(sweeper(world, timedelta(seconds=1)).run()):
            await until(lambda: has_warned(caplog))
    assert await held(world, "a") == 60
    assert await world.query("SELECT fenced_at IS NULL AS lives FROM boots") == [{"lives": False}]


async def has_warned(caplog: pytest.LogCaptureFixture) -> bool:
    return caplog.text.count("no broker") > 1


async def test_what_is_due_is_taken_from_what_is_released(world: World) -> None:
    dead = Boot()
    for number in range(3):
        await world.credit(f"a{number}", 100)
        await world.lease(dead.boot_id, f"a{number}", 100)
        await adjust_credit(world.pool, adjusted(f"a{number}", -30))
    await falls_silent(world, dead)
    async with world.consuming():
        await until(world.has_consumed_all)
    await sweeper(world).sweep()
    for number in range(3):
        account = await world.account(f"a{number}")
        assert (account["posted_nano"], account["held_nano"], account["due_nano"]) == (70, 0, 0)
    await world.check_books()


async def test_a_boot_that_renews_in_time_keeps_its_leases(world: World) -> None:
    await world.credit("a", 100)
    boot = Boot()
    await world.lease(boot.boot_id, "a", 60)
    await falls_silent(world, boot)
    await world.renew(boot.boot_id)
    await sweeper(world).sweep()
    assert await world.query("SELECT fenced_at FROM boots") == [{"fenced_at": None}]
    assert await held(world, "a") == 60


async def test_the_ends_are_those_of_every_partition(world: World) -> None:
    await world.send([Boot().used("a", 1), Boot().used("a", 1)])
    ends = [0, 0]
    ends[partition_for("a", PARTITIONS)] = 2
    assert await read_ends(world.brokers, world.usage_topic) == ends


async def test_a_service_that_stood_still_has_heard_nobody(world: World) -> None:
    """Suspended with its machine, or stopped: every edge's renewals of that time are lost."""
    turns: list[bool] = []

    class Noting(Sweeper):
        async def sweep(self, *, fences: bool = True) -> None:
            turns.append(fences)

    async def fences() -> bool:
        return bool(turns) and turns[-1]

    lease = timedelta(seconds=1)
    async with running(Noting(world.brokers, world.usage_topic, world.pool, lease).run()):
        await until(fences)
        before = len(turns)
        time.sleep(lease.total_seconds())  # noqa: ASYNC251 - nothing else runs meanwhile
        await until(lambda: len(turns) > before)
        assert not turns[before]
        await until(fences)


async def test_who_could_not_be_heard_is_not_fenced_at_once(world: World) -> None:
    """A service that starts after an outage finds every boot silent."""
    await world.credit("a", 100)
    silent, fenced = Boot(), Boot()
    await world.lease(silent.boot_id, "a", 60)
    await world.lease(fenced.boot_id, "a", 10)
    await falls_silent(world, silent)
    await world.execute("UPDATE boots SET fenced_at = now() WHERE boot_id = %s", fenced.boot_id)

    async def has_released() -> bool:
        return await held(world, "a") == 60

    async with world.consuming(), running(sweeper(world).run()):
        await until(has_released)
    assert await world.query("SELECT fenced_at FROM boots WHERE boot_id = %s", silent.boot_id) == [{"fenced_at": None}]
