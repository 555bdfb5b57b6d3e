"""usage.v1 into the ledger, exactly once, through real Kafka into real PostgreSQL."""

from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest
from aiokafka import TopicPartition

from balance.world import USD, BalanceDatabase, Boot, World
from tollgate_balance.usage import store as positions
from tollgate_balance.usage.handlers import UsageBatch, Used, post_usage
from tollgate_balance.usage.store import Position
from tollgate_common.clock import utc_now
from tollgate_common.errors import Fenced, InconsistentState
from tollgate_common.events import LeaseClosed, Void, encode
from tollgate_common.ids import id_floor, new_id
from tollgate_common.sequence import BootSequence, Stamp
from tollgate_common.topics import Topic, partition_for
from waiting import until

pytestmark = pytest.mark.engines


async def test_usage_is_debited_once_however_often_it_comes(world: World) -> None:
    await world.credit("a", 10 * USD)
    boot = Boot()
    events = [boot.used("a", 1_000 + n) for n in range(100)]
    await world.send(events[:60])
    await world.send(events[40:])
    async with world.consuming():
        await until(world.has_consumed_all)
        await world.send(events)
        await until(world.has_consumed_all)

    spent = sum(event.amount_nano for event in events)
    assert (await world.account("a"))["posted_nano"] == 10 * USD - spent
    assert await world.posted("usage", "a") == -spent
    await world.check_books()


async def test_a_successor_resumes_where_postgresql_stands_and_still_knows_every_duplicate(world: World) -> None:
    await world.credit("a", 10 * USD)
    boot = Boot()
    first, late, second = [boot.used("a", 1) for _ in range(3)], boot.used("a", 10), [boot.used("a", 100)]
    await world.send([*first, *second])
    async with world.consuming():
        await until(world.has_consumed_all)
    await world.send([*first, late, *second, late])
    async with world.consuming():
        await until(world.has_consumed_all)

    assert await world.posted("usage", "a") == -113
    assert await world.query("SELECT high, gaps::text AS gaps FROM sequences") == [{"high": 5, "gaps": "{}"}]
    await world.check_books()


async def test_uncovered_usage_is_posted_in_full_and_the_rest_written_off(world: World) -> None:
    await world.credit("a", 100)
    boot = Boot()
    await world.send([boot.used("a", 70), boot.used("a", 70), boot.used("stranger", 5)])
    async with world.consuming():
        await until(world.has_consumed_all)

    assert (await world.account("a"))["posted_nano"] == 0
    assert await world.posted("usage", "a") == -140
    assert await world.posted("write_off", "a") == 40
    assert await world.posted("usage", "stranger") == -5
    assert await world.posted("write_off", "stranger") == 5
    await world.check_books()


async def test_each_change_of_an_account_is_told_with_its_version(world: World) -> None:
    await world.credit("a", 100)
    boot = Boot()
    await world.send([boot.used("a", 30)])
    async with world.consuming():
        await until(world.has_consumed_all)

    told = await world.query("SELECT topic, key, version, payload FROM outbox ORDER BY id")
    assert [(row["topic"], row["key"], row["version"]) for row in told] == [
        ("balances.v1", "a", 1),
        ("balances.v1", "a", 2),
    ]
    assert b'"posted_nano":70' in told[-1]["payload"]


async def test_what_costs_nothing_only_moves_the_sequence(world: World) -> None:
    boot = Boot()
    partition = partition_for("a", 2)
    await world.send(
        [
            boot.used("a", 0),
            Void(stamp=boot.stamp(partition), at=utc_now(), account_id="a", reason="lost"),
            LeaseClosed(stamp=boot.stamp(partition), at=utc_now(), account_id="a", lease_id="l", spent_nano=1),
        ]
    )
    async with world.consuming():
        await until(world.has_consumed_all)

    assert await world.query("SELECT high FROM sequences") == [{"high": 3}]
    assert await world.query("SELECT account_id FROM accounts") == []


async def test_what_can_never_be_posted_goes_to_the_dead_letters_and_stays_a_gap(world: World) -> None:
    await world.credit("a", 100)
    boot, partition = Boot(), partition_for("a", 2)
    good, negative, huge, nameless, misplaced, last = (boot.used("a", 1) for _ in range(6))
    negative = msgspec.structs.replace(negative, amount_nano=-1)
    huge = msgspec.structs.replace(huge, amount_nano=10**16)
    nameless = msgspec.structs.replace(
        nameless, request=msgspec.structs.replace(nameless.request, account_id="nul \0 in it")
    )
    misplaced = msgspec.structs.replace(misplaced, stamp=Stamp(boot.boot_id, 1 - partition, 4))
    ancient = Boot(id_floor(datetime.now(UTC) - timedelta(days=9))).used("a", 1)
    await world.send_raw(Topic.USAGE, b"no event", partition)
    await world.send([good, negative, huge, nameless, ancient])
    await world.send_raw(Topic.USAGE, encode(misplaced), partition)
    await world.send([last])
    async with world.consuming():
        await until(world.has_consumed_all)

    reasons = [reason for _, reason in await world.dead_letters(Topic.USAGE)]
    assert [reason.split(":")[0].split(";")[0][:40] for reason in reasons] == [
        "not decodable",
        "amount_nano is -1",
        "amount_nano is 10000000000000000",
        "account_id is 'nul \\x00 in it'",
        f"boot {ancient.stamp.boot_id} is older than 8 days"[:40],
        f"the stamp names partition {1 - partition}, but the record is in partition {partition}"[:40],
    ]
    assert await world.posted("usage", "a") == -2
    assert await world.query("SELECT high, gaps::text AS gaps FROM sequences") == [{"high": 6, "gaps": "{[1,5)}"}]
    await world.check_books()


async def test_a_dead_letter_that_is_sent_again_closes_its_gap(world: World) -> None:
    await world.credit("a", 100)
    boot = Boot()
    first, second, third = (boot.used("a", 10**n) for n in range(3))
    await world.send([first, third])
    async with world.consuming():
        await until(world.has_consumed_all)
        assert await world.query("SELECT gaps::text AS gaps FROM sequences") == [{"gaps": "{[1,2)}"}]
        await world.send([second, second])
        await until(world.has_consumed_all)

    assert await world.posted("usage", "a") == -111
    assert await world.query("SELECT gaps::text AS gaps FROM sequences") == [{"gaps": "{}"}]


class TestFence:
    """Two consumers that both believe they hold a partition, without Kafka: PostgreSQL alone must keep them apart."""

    partition = TopicPartition("usage", 0)

    def batch(self, position: Position, end: int = 10) -> UsageBatch:
        boot_id = new_id()
        usage = [Used(3, Boot(boot_id).used("a", 7))]
        return UsageBatch(self.partition, position, end, usage, {boot_id: BootSequence(1)})

    async def take_over(self, books: BalanceDatabase) -> Position:
        async with books.pool.connection() as connection:
            return await positions.take_over(connection, self.partition, 3)

    async def test_the_first_start_is_at_the_beginning(self, books: BalanceDatabase) -> None:
        assert await self.take_over(books) == Position(3, 1)
        assert await self.take_over(books) == Position(3, 2)

    async def test_of_two_the_older_is_fenced_and_changes_nothing(self, books: BalanceDatabase) -> None:
        await books.credit("a", 100)
        older = await self.take_over(books)
        newer = await self.take_over(books)
        assert older.next == newer.next
        with pytest.raises(Fenced):
            await post_usage(books.pool, self.batch(older))
        assert await books.posted("usage", "a") == 0
        assert await books.query("SELECT * FROM sequences") == []

        await post_usage(books.pool, self.batch(newer))
        with pytest.raises(Fenced):
            await post_usage(books.pool, self.batch(older))
        assert await books.posted("usage", "a") == -7
        await books.check_books()

    async def test_a_batch_whose_answer_got_lost_is_found_in(self, books: BalanceDatabase) -> None:
        await books.credit("a", 100)
        batch = self.batch(await self.take_over(books))
        first = await post_usage(books.pool, batch)
        assert await post_usage(books.pool, batch) == first == Position(10, 1)
        assert await books.posted("usage", "a") == -7

    async def test_taking_over_waits_for_the_transaction_in_flight(self, books: BalanceDatabase) -> None:
        await self.take_over(books)
        async with await psycopg.AsyncConnection.connect(books.dsn) as other:
            await other.execute("UPDATE consumer_offsets SET next = 5")
            async with books.pool.connection() as connection:
                await connection.execute("SET LOCAL lock_timeout = 100")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    await positions.take_over(connection, self.partition, 3)
                await connection.rollback()
        assert (await self.take_over(books)).next == 5


async def test_two_members_share_the_partitions_and_post_each_event_once(world: World) -> None:
    accounts = [f"account-{n}" for n in range(20)]
    for account in accounts:
        await world.credit(account, USD)
    boot = Boot()
    events = [boot.used(accounts[n % 20], 1 + n) for n in range(2_000)]
    async with world.consuming():
        await world.send(events[:500])
        async with world.consuming():
            await world.send(events[:1_500])
            await until(world.has_consumed_all)
        await world.send(events)
        await until(world.has_consumed_all)

    rows = await world.query(
        "SELECT count(*) AS count, sum(amount_nano)::bigint AS sum FROM postings WHERE kind = 'usage'"
    )
    assert rows == [{"count": 2_000, "sum": sum(event.amount_nano for event in events)}]
    await world.check_books()


async def test_fenced_by_one_that_does_not_hold_the_partition_the_consumer_ends(world: World) -> None:
    await world.credit("a", 100)
    boot = Boot()

    async def consume_and_be_fenced() -> None:
        async with world.consuming():
            await until(world.has_consumed_all)
            await world.execute("UPDATE consumer_offsets SET epoch = epoch + 1")
            await world.send([boot.used("a", 10)])
            await until(world.has_ended)

    await world.send([boot.used("a", 1)])
    with pytest.raises(InconsistentState, match="does not hold it"):
        await consume_and_be_fenced()
    async with world.consuming():
        await until(world.has_consumed_all)
    assert await world.posted("usage", "a") == -11


async def test_a_partition_waits_while_the_database_is_away(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A lock that is not granted in time stands for a database that is away."""
    await world.credit("a", 100)
    boot = Boot()
    await world.execute("SET lock_timeout = 200")
    async with world.consuming():
        await until(world.has_consumed_all)
        async with await psycopg.AsyncConnection.connect(world.dsn) as other:
            await other.execute("SELECT FROM accounts FOR UPDATE")
            await world.send([boot.used("a", 1)])
            await until(lambda: has_logged(caplog, "failed and will be retried"))
            await world.send([boot.used("a", 10)])
            await other.rollback()
        await until(world.has_consumed_all)
    assert await world.posted("usage", "a") == -11
    await world.check_books()


async def has_logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text
