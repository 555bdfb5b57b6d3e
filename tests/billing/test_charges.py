"""From events in Kafka to charges: each exactly once, rated as the catalog says, seen by its account alone."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from aiokafka import TopicPartition

from billing.conftest import Billing
from billing.traffic import PARTITIONS, charged
from tollgate_billing.catalog import handlers
from tollgate_billing.catalog.handlers import PriceCommand
from tollgate_common.clock import utc_now
from tollgate_common.events import TokensUsed, UsageEvent
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.rating import CLASSES, QUANTITY_COLUMNS, TokenCounts, rate
from tollgate_common.topics import Topic
from waiting import PATIENCE_S

pytestmark = pytest.mark.engines

ACCOUNTS = ("acc-a", "acc-b", "acc-c")


async def dead_letters(billing: Billing, count: int) -> list[tuple[bytes, str]]:
    """The first dead letters of usage.v1: their bytes and reasons."""
    partitions = [TopicPartition(Topic.USAGE.dead_letters(billing.prefix), number) for number in range(PARTITIONS)]
    consumer = KafkaConsumer(**billing.brokers.options, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(partitions)
        found: list[tuple[bytes, str]] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [(record.value, dict(record.headers)["reason"].decode()) for record in records]
    finally:
        await consumer.stop()
    return found


async def test_every_event_is_one_row_and_every_charge_explains_itself(billing: Billing) -> None:
    models = [await billing.model(name) for name in ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small")]
    sent: list[UsageEvent] = []
    for number in range(600):
        account = ACCOUNTS[number % 3]
        sent.append(billing.edge.used(account, models[number % 2]))
        if number % 20 == 0:
            sent += [billing.edge.lease_closed(account), billing.edge.void(account)]
    await billing.edge.send(*sent[:400])
    await billing.until_rows(200)
    # Duplicates of what is in the table, and duplicates within one batch.
    await billing.edge.send(*sent[300:], *sent[100:500], *sent[-50:])
    await billing.until_rows(len(sent))
    last = billing.edge.used("acc-a", models[0])
    await billing.edge.send(last)
    await billing.until_rows(len(sent) + 1)
    sent.append(last)

    rows = list(
        (
            await billing.clickhouse.query("SELECT * FROM charges ORDER BY partition, seq", tz_mode="aware")
        ).named_results()
    )
    by_stamp = sorted(sent, key=lambda event: (event.stamp.partition, event.stamp.seq))
    assert [(row["partition"], row["seq"]) for row in rows] == [
        (event.stamp.partition, event.stamp.seq) for event in by_stamp
    ]
    for row, event in zip(rows, by_stamp, strict=True):
        assert row["at"] == event.at
        if isinstance(event, TokensUsed):
            assert row["kind"] == "charge"
            assert row["amount_nano"] == event.amount_nano
            quantities = {name: row[column] for name, column in QUANTITY_COLUMNS.items()}
            assert quantities == msgspec.structs.asdict(event.tokens)
            assert explained(row) == event.amount_nano
            assert row["lines.token_class"] == [name for name in CLASSES if getattr(event.tokens, name)]
            for name in ("request_id", "account_id", "key_id", "endpoint", "model", "served_model", "provider"):
                assert row[name] == getattr(event.request, name)
            assert (row["outcome"], row["estimated"]) == (event.outcome.value, event.estimated)
            assert (row["price_version"], row["plan_version"]) == (event.price_version, event.plan_version)
        else:
            assert row["kind"] in {"lease_closed", "void"}
            assert (row["account_id"], row["amount_nano"], row["lines.price"]) == (event.account_id, 0, [])


def explained(row: dict[str, object]) -> int:
    """The amount from the row alone, in exact integers."""
    quantities, prices = row["lines.quantity"], row["lines.price"]
    assert isinstance(quantities, list)
    assert isinstance(prices, list)
    request_nano, multiplier_bps = row["request_nano"], row["multiplier_bps"]
    assert isinstance(request_nano, int)
    assert isinstance(multiplier_bps, int)
    total = sum(map(int.__mul__, quantities, prices)) + request_nano * 10**6
    return (total * multiplier_bps * 2 + 10**10) // (2 * 10**10)


async def test_what_the_catalogue_contradicts_is_a_dead_letter(billing: Billing) -> None:
    model = await billing.model("gpt-4o")
    good = billing.edge.used("acc-a", model)
    wrong = billing.edge.used("acc-a", model)
    wrong = msgspec.structs.replace(wrong, amount_nano=wrong.amount_nano + 1)
    unknown_price = billing.edge.used("acc-a", model, price_version="gpt-4o@2020-01-01.1")
    unknown_plan = billing.edge.used("acc-a", model, plan_version="gold@1")
    negative = billing.edge.used("acc-a", model, tokens=TokenCounts(input=-1), amount_nano=0)
    huge = billing.edge.used("acc-a", model, tokens=TokenCounts(cached_input=1 << 70), amount_nano=0)
    naive = billing.edge.used("acc-a", model, at=utc_now().replace(tzinfo=None))
    misplaced = billing.edge.used("acc-a", model)
    elsewhere = msgspec.structs.replace(
        misplaced,
        stamp=msgspec.structs.replace(misplaced.stamp, partition=(misplaced.stamp.partition + 1) % PARTITIONS),
    )
    partition = good.stamp.partition
    bad = [wrong, unknown_price, unknown_plan, negative, huge, naive]
    await billing.edge.send(*bad, msgspec.json.encode(elsewhere), b"not json", good, partition=partition)
    await billing.until_rows(1)
    letters = await dead_letters(billing, 8)
    assert [value for value, _ in letters[:6]] == [msgspec.json.encode(event) for event in bad]
    reasons = [reason for _, reason in letters]
    assert reasons[0] == (
        f"request {wrong.request.request_id} has the amount {wrong.amount_nano} nano-units, but "
        f"{wrong.price_version} and standard@1 yield {wrong.amount_nano - 1}"
    )
    assert reasons[1] == "price version 'gpt-4o@2020-01-01.1' is not in the catalog"
    assert reasons[2] == "plan version 'gold@1' is not in the catalog"
    assert reasons[3] == f"input is -1; expected 0 to {(1 << 63) - 1}"
    assert reasons[4] == f"cached_input is {1 << 70}; expected 0 to {(1 << 63) - 1}"
    assert reasons[5].startswith("at is ")
    assert reasons[6].startswith("stamped for partition")
    assert reasons[7].startswith("not decodable")
    assert await billing.scalar("SELECT count() FROM charges") == 1


async def test_a_price_set_while_the_consumer_runs_is_known_to_it(billing: Billing) -> None:
    command = PriceCommand("gpt-4o", "openai", None, {"input": 3, "output": 5, "request_nano": 11}, None, False, False)
    version = await handlers.add_price(billing.pool, command, utc_now())
    tokens = TokenCounts(input=1_000_000, output=2_000_000)
    event = billing.edge.used(
        "acc-a",
        await billing.model("gpt-4o"),
        price_version=version.price_version,
        tokens=tokens,
        amount_nano=rate(tokens, version.prices).amount_nano,
    )
    assert event.amount_nano == 3 + 2 * 5 + 11
    await billing.edge.send(event)
    await billing.until_rows(1)
    assert await billing.scalar("SELECT amount_nano FROM charges") == 24


async def test_units_are_charged_and_one_without_a_price_is_a_dead_letter(billing: Billing) -> None:
    prices = {"input": 0, "output": 0, "images": 40_000_000_000_000, "audio_seconds": 7}
    command = PriceCommand("image-1", "openai", None, prices, None, is_new_model=True, is_new_provider=False)
    version = await handlers.add_price(billing.pool, command, utc_now())
    model = await billing.model("image-1")
    images = TokenCounts(images=3)
    both = TokenCounts(images=3, searches=1)
    sold, searched = (
        billing.edge.used("acc-a", model, price_version=version.price_version, tokens=tokens, amount_nano=120_000_000)
        for tokens in (images, both)
    )
    await billing.edge.send(sold, searched)
    await billing.until_rows(1)
    [(value, reason)] = await dead_letters(billing, 1)
    assert (value, reason) == (msgspec.json.encode(searched), "searches have no price")
    found = await billing.clickhouse.query("SELECT images, lines.token_class, amount_nano FROM charges")
    assert found.result_rows == [(3, ["images"], 120_000_000)]


async def test_a_charge_has_its_tier_and_its_margin(billing: Billing) -> None:
    model = await billing.model("gpt-5.4")
    short, long = TokenCounts(input=272_000), TokenCounts(input=272_001)
    events = [
        billing.edge.used(
            "acc-a",
            model,
            tokens=tokens,
            amount_nano=rate(tokens, model.versions[0].prices).amount_nano,
            provider_cost_nano=cost_nano,
        )
        for tokens, cost_nano in ((short, 680_000_000), (long, 1_000_000_000), (short, None))
    ]
    await billing.edge.send(*events)
    await billing.until_rows(3)
    found = await billing.clickhouse.query(
        "SELECT tier_above_tokens, lines.price[1], amount_nano, provider_cost_nano, margin_nano "
        "FROM charges ORDER BY seq"
    )
    assert found.result_rows == [
        (0, 2_500_000_000, 680_000_000, 680_000_000, 0),
        (272_000, 5_000_000_000, 1_360_005_000, 1_000_000_000, 360_005_000),
        (0, 2_500_000_000, 680_000_000, None, None),
    ]


async def test_an_account_sees_its_own_charges_page_by_page(billing: Billing) -> None:
    model = await billing.model("gpt-4o")
    moment = utc_now()
    # Several in one millisecond, so that pages end between them.
    sent = [
        billing.edge.used(account, model, at=moment - timedelta(milliseconds=number // 4))
        for number in range(30)
        for account in ("acc-a", "acc-b")
    ]
    await billing.edge.send(*sent, billing.edge.void("acc-a"))
    await billing.until_rows(len(sent) + 1)
    for account in ("acc-a", "acc-b"):
        headers = await billing.add_key(account)
        expected = sorted(
            (event for event in charged(sent) if event.request.account_id == account),
            key=lambda event: (event.at, event.request.request_id),
            reverse=True,
        )
        found, cursor = [], None
        for _ in range(10):
            parameters = {"limit": "7"} | ({"cursor": cursor} if cursor else {})
            answer = (await billing.http.get("/v1/charges", params=parameters, headers=headers)).json()
            found += answer["data"]
            cursor = answer["next_cursor"]
            if cursor is None:
                break
        assert [charge["request_id"] for charge in found] == [event.request.request_id for event in expected]
        assert [charge["amount_nano"] for charge in found] == [event.amount_nano for event in expected]
        assert found[0]["lines"][0] == {
            "token_class": "input",
            "quantity": expected[0].tokens.input,
            "price_nano": 2_500_000_000,
        }
    stranger = await billing.add_key("acc-without-charges")
    assert (await billing.http.get("/v1/charges", headers=stranger)).json() == {"data": [], "next_cursor": None}


async def test_charges_want_a_key(billing: Billing) -> None:
    for headers, code in (
        ({}, "missing_api_key"),
        ({"Authorization": "Basic abc"}, "missing_api_key"),
        ({"Authorization": "Bearer tg_nonsense"}, "invalid_api_key"),
    ):
        answer = await billing.http.get("/v1/charges", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)


async def test_wrong_cursors_and_limits_are_named(billing: Billing) -> None:
    headers = await billing.add_key("acc-a")
    for parameters in ({"cursor": "!"}, {"cursor": "bm8"}, {"cursor": "🙂"}, {"limit": "0"}, {"limit": "201"}):
        answer = await billing.http.get("/v1/charges", params=parameters, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["field"] == next(iter(parameters))


async def test_sums_by_day_come_from_the_projection(billing: Billing) -> None:
    model = await billing.model("gpt-4o")
    sent = [billing.edge.used("acc-a", model) for _ in range(50)]
    await billing.edge.send(*sent)
    await billing.until_rows(len(sent))
    found = await billing.clickhouse.query(
        "SELECT sum(amount_nano) FROM charges WHERE account_id = 'acc-a' AND kind = 'charge' AND "
        "toStartOfDay(at) >= '2000-01-01' GROUP BY account_id",
        settings={"force_optimize_projection": 1},
    )
    assert found.result_rows[0][0] == sum(event.amount_nano for event in sent)
