"""Several workers on one port, as processes over a real Kafka: one edge to whoever asks it."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from edge.running import WITHIN_S, Keys, RunningEdge, prepare, read_events, running_edge
from engines.stores import delete_topics, unique_name
from local.provider.running import RunningProvider
from tollgate_common.events import RequestClosed
from tollgate_common.kafka.brokers import Brokers
from waiting import until

pytestmark = pytest.mark.live

BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What flows past?"}]}
CHAT = '{endpoint="/v1/chat/completions"'
ANSWERED = f'tollgate_edge_requests_total{CHAT},status="200"}}'
TIMED = f"tollgate_edge_time_to_first_byte_seconds_count{CHAT}}}"
SERVED = 'tollgate_edge_provider_attempts_total{provider="openai",result="served",target="openai/gpt-4o"}'
COUNTER = re.compile(r"tollgate_edge_\w+_(total|bucket|sum|count)\{")
NOTHING = httpx.Response(503)


class World:
    def __init__(self, brokers: Brokers, prefix: str, keys: Keys, provider: RunningProvider) -> None:
        self.brokers = brokers
        self.prefix = prefix
        self.keys = keys
        self.provider = provider

    @contextmanager
    def edge(self, folder: Path, **settings: str) -> Iterator[RunningEdge]:
        with running_edge(
            self.brokers, self.prefix, self.keys, self.provider.url, folder, workers="2", **settings
        ) as edge:
            yield edge


@pytest.fixture(scope="module")
def world(brokers: Brokers, provider: RunningProvider) -> Iterator[World]:
    prefix = unique_name()
    try:
        yield World(brokers, prefix, prepare(brokers, prefix), provider)
    finally:
        asyncio.run(delete_topics(brokers, prefix))


def workers_of(edge: RunningEdge) -> set[int]:
    return {child.pid for child in psutil.Process(edge.process.pid).children()}


async def scrape(edge: RunningEdge) -> dict[str, float] | None:
    """What one of the workers tells, by names of samples with their labels; None: it was one that does not answer."""
    try:
        async with httpx.AsyncClient(base_url=edge.url, trust_env=False) as client:
            lines = (await client.get("/metrics")).text.splitlines()
    except httpx.TransportError:
        return None
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


async def both_serve(edge: RunningEdge) -> bool:
    found = await scrape(edge)
    return found is not None and found['tollgate_edge_workers{state="serving"}'] == 2


async def counts_are(edge: RunningEdge, calls: int) -> bool:
    found = await scrape(edge)
    if found is None:
        return False
    counts = [found.get(name, 0) for name in (ANSWERED, TIMED, SERVED)]
    assert max(counts) <= calls
    return counts == [calls] * 3


async def call(edge: RunningEdge, times: int) -> None:
    """Each call comes on a connection of its own, so the system deals them out."""
    for response in await asyncio.gather(*(edge.post(BODY) for _ in range(times))):
        assert response.status_code == 200, response.text


async def watch_counters(edge: RunningEdge) -> None:
    """Fail if a scrape tells less than one before it did."""
    highest: dict[str, float] = {}
    while True:
        for name, value in (await scrape(edge) or {}).items():
            if COUNTER.match(name):
                assert value >= highest.get(name, 0), name
                highest[name] = value


async def test_counters_are_of_all_workers_and_outlive_one(world: World, tmp_path: Path) -> None:
    with world.edge(tmp_path, edge_name="counting") as edge:
        await until(lambda: both_serve(edge))
        watching = asyncio.create_task(watch_counters(edge))
        await call(edge, 40)
        await until(lambda: counts_are(edge, 40), working=[watching])
        closed = [event for event in await read_events(world.brokers, world.prefix) if isinstance(event, RequestClosed)]
        assert len({event.stamp.boot_id for event in closed}) == 2

        before = workers_of(edge)
        psutil.Process(min(before)).kill()
        await until(lambda: counts_are(edge, 40), working=[watching])
        await until(lambda: bool(workers_of(edge) - before), working=[watching])
        await until(lambda: both_serve(edge), working=[watching])
        assert await counts_are(edge, 40)
        await call(edge, 20)
        await until(lambda: counts_are(edge, 60), working=[watching])
        found = await scrape(edge)
        assert found is not None
        assert found["tollgate_edge_requests_in_flight"] == 0
        assert found['process_resident_memory_bytes{worker="1"}'] > 0
        assert found['process_resident_memory_bytes{worker="2"}'] > 0
        assert not watching.done()
        watching.cancel()


async def test_a_worker_that_stands_still_is_seen_and_replaced(world: World, tmp_path: Path) -> None:
    with world.edge(tmp_path) as edge:
        await until(lambda: both_serve(edge))
        before = workers_of(edge)
        psutil.Process(min(before)).suspend()
        # A probe that meets the other one.
        await until(lambda: "which sends no heartbeat" in (edge.ready() or NOTHING).text)
        await until(lambda: bool(workers_of(edge) - before))
        await until(lambda: both_serve(edge))
        assert "killed a worker that sent no heartbeat" in edge.log.read_text()
        await call(edge, 4)


async def test_a_dead_worker_is_replaced_and_all_end_in_good_order(world: World, tmp_path: Path) -> None:
    with world.edge(tmp_path, edge_name="workers") as edge:
        await until(lambda: both_serve(edge))
        before = workers_of(edge)
        psutil.Process(min(before)).kill()
        await until(lambda: len(workers_of(edge) - before) == 1 and len(workers_of(edge)) == 2)
        await until(lambda: both_serve(edge))
        streaming = asyncio.create_task(
            edge.post({**BODY, "stream": True, "metadata": {"simulate": "slow_chunks:50,tokens:30"}})
        )
        await asyncio.to_thread(world.provider.wait_for_stats, lambda stats: stats["in_flight"] >= 1)
        workers = [psutil.Process(pid) for pid in workers_of(edge)]
        assert await asyncio.to_thread(edge.stop) == 0
        assert (await streaming).text.endswith("data: [DONE]\n\n")
        assert not any(worker.is_running() for worker in workers)
    # What the killed one left was adopted or was empty; those that stopped left nothing.
    assert len(list((tmp_path / "spool").iterdir())) <= 1


async def test_workers_end_with_a_supervisor_that_is_killed(world: World, tmp_path: Path) -> None:
    with world.edge(tmp_path) as edge:
        await until(lambda: len(workers_of(edge)) == 2)
        workers = [psutil.Process(pid) for pid in workers_of(edge)]
        edge.process.kill()
        edge.process.wait(WITHIN_S)
        await asyncio.to_thread(psutil.wait_procs, workers, WITHIN_S)
        assert not any(worker.is_running() for worker in workers)
