"""The reconciler finds each kind of damage that is planted on real stores, and names the request."""

import pytest

from reconciliation.world import Edge, World, differences, request_of
from tollgate_common.events import TokensUsed
from tollgate_common.topics import Topic

pytestmark = [pytest.mark.engines, pytest.mark.asyncio(loop_scope="module")]

COLUMNS = (
    "SELECT name FROM system.columns WHERE table = 'charges' AND database = currentDatabase() AND name != 'insert_by' "
    "AND default_kind = ''"
)


async def test_a_clean_run_is_all_zeros(world: World) -> None:
    used = await world.traffic(30)
    report = await world.reconcile()
    assert differences(report) == {}
    assert report.is_clean
    assert report.is_complete
    assert report.compared_events == len(used) + 1
    assert (report.gaps, report.doubled, report.mismatches, report.misrated, report.stale_sums) == ((), (), (), (), ())
    assert report.totals.unclosed_requests == 0


async def test_a_deleted_charge(world: World) -> None:
    lost = (await world.traffic(30))[10]
    name = lost.request.request_id
    planted = await world.plant(world.click(f"ALTER TABLE charges DELETE WHERE request_id = '{name}'"))
    assert planted.differences == {
        "missing": 1,
        "ledger_minus_charges_nano": lost.amount_nano,
        "charges_minus_usage_nano": -lost.amount_nano,
        "mismatches": 1,
    }
    [mismatch] = planted.new("mismatches")
    assert mismatch.request_id == name
    assert mismatch.amounts_nano == {"balance": (lost.amount_nano,), "billing": (), "analytics": (lost.amount_nano,)}
    [gap] = planted.new("gaps")
    assert (gap.service, gap.start, gap.request_ids) == ("billing", lost.stamp.seq, (name,))


async def test_a_deleted_posting(world: World) -> None:
    lost = (await world.traffic(12))[3]
    name = lost.request.request_id
    planted = await world.plant(world.sql("DELETE FROM postings WHERE reference = %s", name))
    assert planted.differences == {"ledger_minus_charges_nano": -lost.amount_nano, "mismatches": 1, "stale_sums": 1}
    [mismatch] = planted.new("mismatches")
    assert mismatch.request_id == name


async def test_a_doubled_posting(world: World) -> None:
    doubled = (await world.traffic(30))[7]
    name = doubled.request.request_id
    planted = await world.plant(
        # The database itself would refuse it.
        world.sql("DROP INDEX postings_by_event"),
        world.sql(
            "INSERT INTO postings (account_id, kind, debit, credit, amount_nano, reference, happened_at,"
            " event_partition, event_offset) SELECT account_id, kind, debit, credit, amount_nano, reference,"
            " happened_at, event_partition, event_offset FROM postings WHERE reference = %s",
            name,
        ),
    )
    assert planted.differences == {
        "duplicated": 1,
        "ledger_minus_charges_nano": doubled.amount_nano,
        "mismatches": 1,
        "stale_sums": 1,
    }
    [found] = planted.new("doubled")
    assert (found.service, found.copies, found.request_id) == ("balance", 2, name)
    [stale] = planted.new("stale_sums")
    assert (stale.service, stale.drift.where) == ("balance", f"account {doubled.request.account_id}")


async def test_amounts_exchanged_between_two_charges(world: World) -> None:
    """The sums stay equal. Only the checksum and the prices reveal the exchange."""
    first, second = (await world.traffic(30))[4:6]
    names = (first.request.request_id, second.request.request_id)
    sum_nano = first.amount_nano + second.amount_nano
    planted = await world.plant(
        world.click(f"ALTER TABLE charges UPDATE amount_nano = {sum_nano} - amount_nano WHERE request_id IN {names}")
    )
    assert planted.differences == {"mismatches": 2, "misrated": 2}
    assert {mismatch.request_id for mismatch in planted.new("mismatches")} == set(names)
    assert {(charge.request_id, charge.rated_nano) for charge in planted.new("misrated")} == {
        (event.request.request_id, event.amount_nano) for event in (first, second)
    }


async def test_an_amount_changed_in_the_usage_reports(world: World) -> None:
    name = (await world.traffic(30))[20].request.request_id
    planted = await world.plant(
        world.click(
            "ALTER TABLE request_events UPDATE amount_nano = amount_nano + 1"
            f" WHERE request_id = '{name}' AND kind = 'used'"
        )
    )
    assert planted.differences == {"charges_minus_usage_nano": -1, "mismatches": 1}
    assert [mismatch.request_id for mismatch in planted.new("mismatches")] == [name]


async def test_tokens_changed_in_the_charges(world: World) -> None:
    name = (await world.traffic(12))[2].request.request_id
    planted = await world.plant(
        world.click(f"ALTER TABLE charges UPDATE input_tokens = input_tokens + 400 WHERE request_id = '{name}'")
    )
    assert planted.differences == {
        "charges_minus_rated_nano": -400 * world.edge.prices.input // 10**6,
        "mismatches": 1,
        "misrated": 1,
    }
    [charge], [mismatch] = planted.new("misrated"), planted.new("mismatches")
    assert charge.request_id == mismatch.request_id == name


async def test_a_version_that_the_catalogue_does_not_know(world: World) -> None:
    used = (await world.traffic(6))[1]
    name, version = used.request.request_id, "gpt-4o@1999-01-01.1"
    planted = await world.plant(
        world.click(f"ALTER TABLE charges UPDATE price_version = '{version}' WHERE request_id = '{name}'")
    )
    assert planted.differences == {"charges_minus_rated_nano": used.amount_nano, "misrated": 1}
    [charge] = planted.new("misrated")
    assert (charge.request_id, charge.rated_nano, charge.price_version) == (name, None, version)


async def test_a_doubled_row(world: World) -> None:
    doubled = (await world.traffic(12))[6]
    name = doubled.request.request_id
    columns = ", ".join(f"`{row[0]}`" for row in (await world.clickhouse.query(COLUMNS)).result_rows)
    copy = (
        f"INSERT INTO charges ({columns}, insert_by) "  # noqa: S608 - the names of the table's own columns
        f"SELECT {columns}, now() + 60 FROM charges WHERE request_id = '{name}'"
    )
    planted = await world.plant(world.click(copy))
    assert planted.differences == {
        "duplicated": 1,
        "ledger_minus_charges_nano": -doubled.amount_nano,
        "charges_minus_usage_nano": doubled.amount_nano,
        "mismatches": 1,
    }
    [found] = planted.new("doubled")
    assert (found.service, found.seq, found.request_id) == ("billing", doubled.stamp.seq, name)


async def test_a_skipped_seq_is_missing_everywhere(world: World) -> None:
    skipped = world.edge.stamp(Topic.USAGE, "acc-b")
    planted = await world.plant(world.send(*world.edge.whole_request("acc-b", 1)))
    assert planted.differences == {"missing": 3}
    assert {(gap.service, gap.partition, gap.start, gap.end) for gap in planted.new("gaps")} == {
        (service, skipped.partition, skipped.seq, skipped.seq + 1) for service in ("balance", "billing", "analytics")
    }


async def test_a_lost_tail_is_told_by_the_heartbeat(world: World) -> None:
    edge = Edge(world.edge.price_version, world.edge.prices)
    await world.send(*edge.whole_request("acc-b", 1))
    first = edge.stamp(Topic.USAGE, "acc-b")
    edge.stamp(Topic.USAGE, "acc-b")
    planted = await world.plant(world.send(edge.heartbeat()))
    assert planted.differences == {"missing": 6}
    tails = planted.new("gaps")
    assert {tail.service for tail in tails} == {"balance", "billing", "analytics"}
    assert {(tail.is_tail, tail.boot_id, tail.partition, tail.start, tail.end) for tail in tails} == {
        (True, edge.boot_id, first.partition, 1, 3)
    }


async def test_a_balance_that_is_not_the_sum_of_its_postings(world: World) -> None:
    account = request_of("acc-with-stale-sums")
    await world.send(world.edge.used(account, 5))
    planted = await world.plant(
        world.sql("UPDATE accounts SET posted_nano = 5, held_nano = 2 WHERE account_id = 'acc-with-stale-sums'")
    )
    assert planted.differences == {"stale_sums": 3}
    found = [(stale.drift.what, stale.drift.stored, stale.drift.rows) for stale in planted.new("stale_sums")]
    assert found == [
        ("held_nano of accounts", 2, 0),
        ("posted_nano and unburned_nano of accounts", 5, 0),
        ("posted_nano of accounts", 5, 0),
    ]
    assert {stale.drift.where for stale in planted.new("stale_sums")} == {"account acc-with-stale-sums"}


async def test_a_grant_that_did_not_burn_as_the_ledger_says(world: World) -> None:
    account = request_of("acc-with-stale-grants")
    await world.send(world.edge.used(account, 5))
    planted = await world.plant(
        world.sql(
            "INSERT INTO grants (grant_id, account_id, amount_nano, remaining_nano, expired_nano, expired_at, source,"
            " reason, priority, granted_at)"
            " VALUES ('stale', 'acc-with-stale-grants', 9, 7, 2, now(), 'promo', '', 100, now())"
        )
    )
    assert planted.differences == {"stale_sums": 3}
    found = [(stale.drift.what, stale.drift.stored, stale.drift.rows) for stale in planted.new("stale_sums")]
    assert found == [
        ("expired_nano of grants", 2, 0),
        ("expiring_nano of accounts", 0, 7),
        ("posted_nano and unburned_nano of accounts", 0, 7),
    ]


async def test_a_request_that_never_closed_is_listed(world: World) -> None:
    request = request_of("acc-b")
    used = world.edge.used(request, 9)
    planted = await world.plant(world.send(world.edge.opened(request), used))
    assert planted.differences == {}
    [found] = planted.new("unclosed")
    assert (found.request_id, found.account_id, found.boot_id) == (request.request_id, "acc-b", world.edge.boot_id)
    assert found.charged_nano == used.amount_nano
    closed = await world.plant(world.send(world.edge.closed(request)))
    assert closed.after.totals.unclosed_requests == planted.before.totals.unclosed_requests


async def test_what_no_credit_covered_is_listed(world: World) -> None:
    used = world.edge.used(request_of("acc-without-credit"), 3)
    planted = await world.plant(world.send(used))
    assert planted.differences == {}
    [found] = planted.new("write_offs")
    assert (found.account_id, found.amount_nano) == ("acc-without-credit", used.amount_nano)
    assert found.reference.startswith(Topic.USAGE.named(world.prefix))


async def test_a_time_without_damage_is_clean(world: World) -> None:
    name = (await world.traffic(6))[0].request.request_id
    report = await world.reconcile()
    await world.click(f"ALTER TABLE charges UPDATE amount_nano = amount_nano + 1 WHERE request_id = '{name}'")
    later = await world.reconciler.run(report.finished_at, None)
    assert (later.mismatches, later.misrated, later.compared_events) == ((), (), 0)
    earlier = await world.reconciler.run(None, report.started_at)
    assert name in {charge.request_id for charge in earlier.misrated}


async def test_differences_are_found_among_many(world: World) -> None:
    """Send enough records that ranges are divided before rows are read."""
    events: list[TokensUsed] = [world.edge.used(request_of("acc-a"), number % 7) for number in range(5_000)]
    await world.send(*events)
    names = tuple(events[number].request.request_id for number in (0, 2_500, 4_999))
    planted = await world.plant(
        world.click(f"ALTER TABLE charges UPDATE amount_nano = amount_nano + 1 WHERE request_id IN {names}")
    )
    assert {mismatch.request_id for mismatch in planted.new("mismatches")} == set(names)
    assert planted.differences["ledger_minus_charges_nano"] == -3
