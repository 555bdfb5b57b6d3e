"""Kafka stops under load, and an edge dies while it spools: nothing fails, nothing is lost or doubled."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.running import WITHIN_S, RunningEdge, prepare, read_events, running_edge
from engines.own_kafka import OwnKafka, own_kafka
from engines.stores import unique_name
from local.provider.running import RunningProvider
from tollgate_common.crash_points import CrashPoint
from tollgate_common.events import RequestClosed, RequestOpened, TokensUsed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

# The long form is `make chaos`.
AWAY_S = 60.0 if os.environ.get("TOLLGATE_CHAOS") == "long" else 8.0
CLIENTS = 6
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnKafka]:
    with own_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


async def recorded(kafka: OwnKafka, prefix: str) -> dict[str, Counter[str]]:
    """By request, how many events of each kind there are; duplicates are dropped by stamp, as each consumer does."""
    events = {(type(event), event.stamp): event for event in await read_events(kafka.brokers, prefix)}
    found: dict[str, Counter[str]] = {}
    for event in events.values():
        if isinstance(event, RequestOpened | RequestClosed | TokensUsed):
            found.setdefault(event.request.request_id, Counter())[type(event).__name__] += 1
    return found


def spooled_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "spool").iterdir())


async def test_kafka_is_away_under_load(kafka: OwnKafka, provider: RunningProvider, tmp_path: Path) -> None:
    prefix = unique_name()
    keys = await asyncio.to_thread(prepare, kafka.brokers, prefix)
    request_ids: list[str] = []
    is_over = asyncio.Event()

    async def call_always(edge: RunningEdge) -> None:
        while not is_over.is_set():
            body = {**BODY, "stream": len(request_ids) % 2 == 0}
            response = await edge.post(body)
            assert response.status_code == 200, response.text
            assert not body["stream"] or response.text.endswith("data: [DONE]\n\n")
            request_ids.append(response.headers["x-request-id"])
            await asyncio.sleep(0.02)

    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path, ack_timeout_s="0.5") as edge:
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(call_always(edge))
            await asyncio.sleep(1)
            before = len(request_ids)
            kafka.kill()
            await asyncio.sleep(AWAY_S)
            while_away = len(request_ids) - before
            assert spooled_bytes(tmp_path) > 0
            await asyncio.to_thread(kafka.start)
            while spooled_bytes(tmp_path):
                await asyncio.sleep(0.1)
            is_over.set()
        assert edge.stop() == 0
    print(f"{len(request_ids)} requests, {while_away} of them while Kafka was away")
    assert while_away > CLIENTS
    once = Counter(["RequestOpened", "RequestClosed", "TokensUsed"])
    assert await recorded(kafka, prefix) == dict.fromkeys(request_ids, once)


@pytest.mark.parametrize(("point", "is_safe"), [(CrashPoint.BEFORE_SPOOL, False), (CrashPoint.AFTER_SPOOL, True)])
async def test_the_edge_dies_while_it_spools(
    kafka: OwnKafka, provider: RunningProvider, tmp_path: Path, point: CrashPoint, is_safe: bool
) -> None:
    """No client has the last byte of an answer whose usage is not on the disk; what is on the disk counts once."""
    prefix = unique_name()
    keys = await asyncio.to_thread(prepare, kafka.brokers, prefix)
    armed = {"ack_timeout_s": "0.5", "crash_at": point.value}
    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path, **armed) as edge:
        kafka.kill()
        try:
            with pytest.raises(httpx.TransportError):
                await edge.post(BODY)
            assert await asyncio.to_thread(edge.process.wait, WITHIN_S) == -signal.SIGKILL
        finally:
            await asyncio.to_thread(kafka.start)
    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path) as successor:
        while spooled_bytes(tmp_path):
            assert successor.process.poll() is None
            await asyncio.sleep(0.05)
        assert successor.stop() == 0
    everything, opening = Counter(["RequestOpened", "RequestClosed", "TokensUsed"]), Counter(["RequestOpened"])
    # The opening may have left alone, or died with the others.
    possible = [[everything]] if is_safe else [[opening], []]
    assert list((await recorded(kafka, prefix)).values()) in possible
