"""Dead letters on real Kafka: stored, explained in the report, retried or discarded."""

import msgspec
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from reconciliation.world import World, differences, request_of
from tollgate_common.events import TokensUsed, encode
from tollgate_common.kafka.clients import KafkaConsumer
from tollgate_common.topics import Topic

pytestmark = [pytest.mark.engines, pytest.mark.asyncio(loop_scope="module")]


async def given_up(world: World, value: bytes, count: int, partition: int = 0) -> str:
    """Return the source of a message of usage.v1 once billing has stored its dead letters."""
    sent = await world.producer.send_and_wait(
        Topic.USAGE.named(world.prefix), value, b"the key of it", partition=partition
    )
    source = f"{sent.topic}:{sent.partition}:{sent.offset}"

    async def is_known() -> bool:
        answer = await world.http.get(f"/v1/dead-letters/{source}")
        return answer.is_success and len(answer.json()["given_up"]) == count

    await world.until(is_known)
    return source


async def unpriced(world: World) -> tuple[TokensUsed, str]:
    """Send an event that only billing rejects, because its price version is unknown. Return it and its source."""
    event = world.edge.used(request_of("acc-b"), 3, price_version="gpt-4o@2035-01-01.1")
    source = await given_up(world, encode(event), 1, event.stamp.partition)
    await world.send(world.edge.heartbeat())
    return event, source


async def test_a_dead_letter_is_listed_read_and_explains_its_gap(world: World) -> None:
    await world.traffic(3)
    event, source = await unpriced(world)
    listed = (await world.http.get("/v1/dead-letters", params={"state": "open"})).json()
    assert listed["data"][0]["source"] == source
    details = (await world.http.get(f"/v1/dead-letters/{source}")).json()
    assert (details["request_id"], details["seq"]) == (event.request.request_id, event.stamp.seq)
    assert details["given_up"][0]["consumer"] == f"{world.prefix}.billing"
    assert details["given_up"][0]["reason"] == "price version 'gpt-4o@2035-01-01.1' is not in the catalog"
    assert (details["text"].encode(), details["key"]) == (encode(event), "the key of it")

    report = await world.reconcile()
    assert differences(report) == {
        "dead_lettered": 1,
        "ledger_minus_charges_nano": event.amount_nano,
        "charges_minus_usage_nano": -event.amount_nano,
        "mismatches": 1,
    }
    [gap], [mismatch] = report.gaps, report.mismatches
    assert (gap.service, gap.state, gap.request_ids) == ("billing", "dead_lettered", (event.request.request_id,))
    assert (mismatch.request_id, mismatch.state) == (event.request.request_id, "dead_lettered")

    # Discarded, it is a gap that somebody has answered for, and no difference any more.
    answer = await world.http.post(f"/v1/dead-letters/{source}/discard", json={"reason": "a test of the price list"})
    assert (answer.json()["state"], answer.json()["decision_reason"]) == ("discarded", "a test of the price list")
    report = await world.reconcile()
    assert differences(report) == {}
    assert (report.totals.discarded, [gap.state for gap in report.gaps]) == (1, ["discarded"])


async def test_a_retry_closes_the_gap(world: World) -> None:
    before = await world.reconcile()
    event, source = await unpriced(world)
    assert (await world.reconcile()).totals.dead_lettered == 1
    # The operator adds the version that was missing; ids of versions cannot be chosen through the API.
    async with world.catalog.connection() as connection:
        await connection.execute(
            "INSERT INTO price_versions SELECT 'gpt-4o@2035-01-01.1', model, '2035-01-01', now(), source, input,"
            " output, cached_input, cache_write, audio_input, image_input, reasoning, audio_output, request_nano"
            " FROM price_versions WHERE price_version = %s",
            [world.edge.price_version],
        )
    answer = await world.http.post(f"/v1/dead-letters/{source}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "retried")
    last = await newest_record(world, event.stamp.partition)
    assert (last.key, last.value) == (b"the key of it", encode(event))

    report = await world.reconcile()
    assert differences(report) == {}
    assert len(report.gaps) == len(before.gaps)
    rows = await world.clickhouse.query(
        "SELECT count() FROM charges WHERE request_id = {name:String}", parameters={"name": event.request.request_id}
    )
    assert rows.result_rows[0][0] == 1
    # Once more does no harm: everyone has seen it.
    assert (await world.http.post(f"/v1/dead-letters/{source}/retry")).status_code == 200
    assert differences(await world.reconcile()) == {}
    refused = await world.http.post(f"/v1/dead-letters/{source}/discard", json={"reason": "too late"})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_retried")


async def test_a_retry_that_fails_again_is_a_new_dead_letter(world: World) -> None:
    event = world.edge.used(request_of("acc-c"), 3, price_version="gpt-4o@2036-01-01.1")
    source = await given_up(world, encode(event), 1, event.stamp.partition)
    await world.http.post(f"/v1/dead-letters/{source}/retry")
    await world.send(world.edge.heartbeat())

    async def is_back() -> bool:
        newest = (await world.http.get("/v1/dead-letters", params={"state": "open", "limit": 1})).json()["data"]
        return bool(newest) and newest[0]["source"] != source and newest[0]["request_id"] == event.request.request_id

    await world.until(is_back)
    report = await world.reconcile()
    assert report.totals.dead_lettered == 1
    [open_gap] = [gap for gap in report.gaps if gap.state == "dead_lettered"]
    assert open_gap.request_ids == (event.request.request_id,)
    [again] = (await world.http.get("/v1/dead-letters", params={"state": "open"})).json()["data"]
    await world.http.post(f"/v1/dead-letters/{again['source']}/discard", json={"reason": "it has no price"})
    assert (await world.reconcile()).is_clean


async def test_what_is_no_event_is_kept_as_it_came(world: World) -> None:
    """All three consumers reject it. Its boot is unknown, so no gap is left."""
    for value, shown in ((b"no \x00 json", {"text": "no \x00 json"}), (b"\xff\xfe", {"base64": "//4="})):
        source = await given_up(world, value, 3)
        details = (await world.http.get(f"/v1/dead-letters/{source}")).json()
        assert details | shown == details
        assert {letter["consumer"].rsplit(".", 1)[1] for letter in details["given_up"]} == {
            "balance",
            "billing",
            "analytics",
        }
        assert details["request_id"] is None


async def test_names_that_no_column_can_hold_are_kept_without(world: World) -> None:
    event = world.edge.used(request_of("acc-a"), 3)
    odd = msgspec.json.decode(encode(event))
    odd["request"]["request_id"] = "a\0b"
    odd["tokens"] = "none"
    source = await given_up(world, msgspec.json.encode(odd), 3, event.stamp.partition)
    await world.send(world.edge.heartbeat())
    assert (await world.http.get(f"/v1/dead-letters/{source}")).json()["request_id"] == "a\ufffdb"
    await world.http.post(f"/v1/dead-letters/{source}/discard", json={"reason": "a broken edge"})
    report = await world.reconcile()
    assert report.is_clean
    place = (event.stamp.partition, event.stamp.seq)
    discarded = {gap.service for gap in report.gaps if (gap.partition, gap.start) == place}
    assert discarded == {"balance", "billing", "analytics"}


async def test_a_letter_that_nobody_knows_the_source_of_cannot_be_retried(world: World) -> None:
    topic = Topic.USAGE.dead_letters(world.prefix)
    sent = await world.producer.send_and_wait(topic, b"by hand", partition=1, headers=[("source", b"nowhere")])
    source = f"{topic}:1:{sent.offset}"

    async def is_known() -> bool:
        return (await world.http.get(f"/v1/dead-letters/{source}")).is_success

    await world.until(is_known)
    answer = await world.http.post(f"/v1/dead-letters/{source}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "source_not_found")
    answer = await world.http.post(f"/v1/dead-letters/{source}/discard", json={"reason": "by hand"})
    assert answer.json()["state"] == "discarded"


async def test_pages_follow_each_other(world: World) -> None:
    for number in range(3):
        await given_up(world, b"no event %d" % number, 3)
    everything = (await world.http.get("/v1/dead-letters")).json()["data"]
    assert len(everything) >= 3
    found, query = [], {"limit": "2"}
    for _ in everything:
        page = (await world.http.get("/v1/dead-letters", params=query)).json()
        found += page["data"]
        if page["next_before"] is None:
            break
        query |= {"before": page["next_before"], "before_source": page["next_before_source"]}
    assert found == everything


async def test_bad_calls_are_refused_with_a_reason(world: World) -> None:
    for method, path, body, status in (
        ("GET", "/v1/dead-letters/nothing:0:1", None, 404),
        ("POST", "/v1/dead-letters/nothing:0:1/retry", None, 404),
        ("POST", "/v1/dead-letters/nothing:0:1/discard", {"reason": "a reason"}, 404),
        ("POST", "/v1/dead-letters/nothing:0:1/discard", {"reason": "  "}, 422),
        ("POST", "/v1/dead-letters/nothing:0:1/discard", {}, 422),
        ("GET", "/v1/dead-letters?state=gone", None, 422),
        ("GET", "/v1/dead-letters?limit=0", None, 422),
        ("POST", "/v1/reconciliations?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", None, 422),
        ("POST", "/v1/reconciliations?from=yesterday", None, 422),
    ):
        answer = await world.http.request(method, path, json=body)
        assert answer.status_code == status, (path, answer.text)
        assert answer.json()["detail"]
    for path in ("/v1/dead-letters", "/v1/reconciliation"):
        assert (await world.http.get(path, headers={"Authorization": "Bearer wrong"})).status_code == 401


async def newest_record(world: World, partition: int) -> ConsumerRecord:
    place = TopicPartition(Topic.USAGE.named(world.prefix), partition)
    async with KafkaConsumer(**world.brokers.options) as consumer:
        consumer.assign([place])
        consumer.seek(place, (await consumer.end_offsets([place]))[place] - 1)
        return await consumer.getone()
