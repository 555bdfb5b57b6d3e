"""Lag is not a difference, and an unavailable service fails the reconciliation."""

import asyncio

import httpx
import pytest

from reconciliation.world import World, differences, request_of
from tollgate_billing.reconciliation import reconciler
from tollgate_billing.reconciliation.remote_source import RemoteReconciliationSource
from tollgate_common.auth.service_auth import ServiceCredential
from tollgate_common.topics import Topic

pytestmark = [pytest.mark.engines, pytest.mark.asyncio(loop_scope="module")]


async def test_a_reconciler_that_is_not_trusted_makes_no_report(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for token, code in (("a token that is wrong", "401"), ("", "401")):
        peer = world.reconciler._balance
        monkeypatch.setattr(
            world.reconciler,
            "_balance",
            RemoteReconciliationSource(peer._http, "http://b", ServiceCredential("billing", token, None)),
        )
        answer = await world.http.post("/v1/reconciliations")
        assert (answer.status_code, answer.json()["code"]) == (503, "reconciliation_failed")
        assert code in answer.json()["detail"]


async def test_a_reconciliation_that_misses_a_service_makes_no_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with httpx.AsyncClient() as http:
        monkeypatch.setattr(
            world.reconciler,
            "_analytics",
            RemoteReconciliationSource(http, "http://127.0.0.1:9", ServiceCredential("billing", "token", None)),
        )
        answer = await world.http.post("/v1/reconciliations")
    assert (answer.status_code, answer.json()["code"]) == (503, "reconciliation_failed")
    assert "http://127.0.0.1:9" in answer.json()["detail"]


async def test_before_its_first_reconciliation_the_page_says_so(world: World) -> None:
    answer = await world.http.get("/v1/reconciliation")
    assert (answer.status_code, answer.json()["code"]) == (503, "reconciliation_pending")


async def test_a_consumer_that_lags_is_no_alarm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "CATCH_UP_S", 0.5)
    used = await world.traffic(9)
    await world.until(lambda: has_consumed(world))
    billing = world.workers[1]
    billing.cancel()
    await asyncio.gather(billing, return_exceptions=True)
    await world.traffic(6)
    request = request_of("acc-b")
    await world.send(world.edge.opened(request), world.edge.closed(request), world.edge.heartbeat())

    async def others_have_all() -> bool:
        lag = (await world.reconciler.run(None, None)).lag
        return {part.service for part in lag} == {"billing"}

    world.workers = [worker for worker in world.workers if worker is not billing]
    await world.until(others_have_all)
    report = await world.reconciler.run(None, None)
    assert differences(report) == {}
    assert report.is_clean
    assert sum(part.end - part.next for part in report.lag) == 7
    assert report.compared_events == len(used) + 1
    assert {part.topic for part in report.lag} == {Topic.USAGE.value}


async def has_consumed(world: World) -> bool:
    return not (await world.reconciler.run(None, None)).lag
