"""Usage that cannot be rated quarantines its model: from the event to an edge that rejects requests."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace

from reconciliation.test_dead_letters import given_up
from reconciliation.world import World, request_of
from tollgate_billing.catalog import handlers
from tollgate_common.clock import utc_now
from tollgate_common.events import encode
from tollgate_edge.pricing.catalog import Catalog as EdgeCatalog

pytestmark = [pytest.mark.engines, pytest.mark.asyncio(loop_scope="module")]

REASON = "images have no price"


@pytest_asyncio.fixture(loop_scope="module")
async def edge(world: World) -> AsyncIterator[EdgeCatalog]:
    """The catalog of an edge, read from Kafka."""
    known = EdgeCatalog(world.brokers, world.prefix)
    task = asyncio.create_task(known.topic.run())
    yield known
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until_quarantined(world: World, edge: EdgeCatalog, reason: str) -> None:
    async def is_told() -> bool:
        return "gpt-4o" in edge.models and edge.models["gpt-4o"].quarantined == reason

    await world.until(is_told)


async def test_usage_that_cannot_be_rated_stops_its_model_until_an_operator_lifts_it(
    world: World, edge: EdgeCatalog
) -> None:
    await until_quarantined(world, edge, "")
    used = world.edge.used(request_of("acc-a"), 5)
    wrong = replace(used, tokens=replace(used.tokens, images=1))
    source = await given_up(world, encode(wrong), 1, wrong.stamp.partition)
    await until_quarantined(world, edge, REASON)
    report = await world.reconcile()
    [found] = report.quarantined
    assert (found.model, found.reason, found.dead_letter) == ("gpt-4o", REASON, source)
    assert report.totals.quarantined == 1

    await handlers.lift_quarantine(world.catalog, "gpt-4o", "the price is there now", utc_now())
    await until_quarantined(world, edge, "")
    # The same event again is the same refusal, and a new one of its model.
    await world.service.retry(source)
    await until_quarantined(world, edge, REASON)
    await handlers.lift_quarantine(world.catalog, "gpt-4o", "the test is over", utc_now())
    await until_quarantined(world, edge, "")
    assert (await world.reconcile()).quarantined == ()


async def test_what_is_no_usage_stops_no_model(world: World, edge: EdgeCatalog) -> None:
    await until_quarantined(world, edge, "")
    await given_up(world, b'{"type": "tokens_used", "request": {"model": "gpt-4o"}}', 3)
    unknown = world.edge.used(request_of("acc-a"), 5, price_version="unknown@1")
    unknown = replace(unknown, request=replace(unknown.request, model="a-model-of-nobody"))
    await given_up(world, encode(unknown), 1, unknown.stamp.partition)
    assert await handlers.list_quarantines(world.catalog) == []
