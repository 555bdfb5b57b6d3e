"""What one worker tells of all, without their processes."""

import os
import time

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from tollgate_edge.event_log.spool import BYTES
from tollgate_edge.observability.metrics import EdgeCollector, EdgeCounts
from tollgate_edge.observability.shared_counters import BEAT_MS, PID, STATE, CounterSegment
from tollgate_edge.observability.worker_status import SILENT_MS, State, WorkerGroup


class Worker:
    """One of several, which is as `waits_for` says."""

    def __init__(self, segments: list[CounterSegment], number: int) -> None:
        self.waits_for: str | None = "Kafka"
        self.segment = segments[number]
        self.collector = EdgeCollector(EdgeCounts(self.segment), tuple, segments)
        self.worker_group = WorkerGroup(
            segments, self.segment, waiting_for=lambda: self.waits_for, note_gauges=self.collector.note_gauges
        )

    def registry(self) -> CollectorRegistry:
        return self.worker_group.registry(self.collector)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry().get_sample_value(name, labels)


@pytest.fixture
def workers() -> list[Worker]:
    segments = [CounterSegment.own() for _ in range(3)]
    for segment in segments:
        segment.slots[PID] = 0
    return [Worker(segments, number) for number in range(3)]


def test_a_worker_that_starts_gets_no_connections_and_holds_nobody_up(workers: list[Worker]) -> None:
    first, second, third = workers
    for worker in (first, second):
        worker.waits_for = None
    for worker in workers:
        worker.worker_group.publish_heartbeat()
    assert first.worker_group.states() == [State.SERVING, State.SERVING, State.STARTING]
    assert first.worker_group.waiting_for() is None
    assert third.worker_group.waiting_for() == "Kafka"
    assert [first.value("tollgate_edge_workers", state=name) for name in ("starting", "serving", "waiting")] == [
        1,
        2,
        0,
    ]


def test_a_worker_that_refuses_is_seen_by_all(workers: list[Worker]) -> None:
    for waits_for in (None, "room in its spool"):
        workers[1].waits_for = waits_for
        workers[1].worker_group.publish_heartbeat()
    workers[0].waits_for = None
    assert workers[0].worker_group.waiting_for() == "worker 2, which cannot serve requests"
    assert workers[1].worker_group.waiting_for() == "room in its spool"
    assert workers[0].value("tollgate_edge_workers", state="waiting") == 1


def test_a_worker_that_stands_still_is_seen_and_one_that_ended_is_not_one(workers: list[Worker]) -> None:
    workers[0].waits_for = workers[1].waits_for = None
    for worker in workers:
        worker.worker_group.publish_heartbeat()
    segment = workers[1].segment
    segment.slots[BEAT_MS] -= SILENT_MS + 1
    assert workers[0].worker_group.waiting_for() == "worker 2, which sends no heartbeat"
    assert workers[0].value("tollgate_edge_workers", state="silent") == 1
    segment.slots[PID] = 0
    assert workers[0].worker_group.waiting_for() is None
    assert segment.slots[STATE] == State.SERVING


def test_processes_are_told_apart_and_spools_added_up(workers: list[Worker]) -> None:
    before = workers[0].value("tollgate_edge_spool_bytes")
    BYTES.inc(100)
    try:
        for worker in workers[:2]:
            worker.worker_group.publish_heartbeat()
        # Here both are this process; one that has ended has no spool and no process.
        assert before is not None
        assert workers[0].value("tollgate_edge_spool_bytes") == 2 * (before + 100)
        workers[1].segment.slots[PID] = os.getppid()
        started = [workers[0].value("process_start_time_seconds", worker=str(number)) for number in (1, 2, 3)]
        assert started[2] is None
        assert started[0] != started[1]
        assert started[0] is not None
        assert started[0] <= time.time()
    finally:
        BYTES.dec(100)


def test_everything_of_one_process_is_told_of_several(workers: list[Worker]) -> None:
    workers[0].worker_group.publish_heartbeat()
    told = {family.name for family in workers[0].registry().collect()}
    alone = {family.name for family in REGISTRY.collect()}
    alone |= {family.name for family in workers[0].collector.collect()}
    mine = {name for name in alone if name.startswith(("tollgate_edge_", "process_", "python_"))}
    gc = {name for name in mine if name.startswith("python_gc_")}
    assert told == mine - gc | {"tollgate_edge_workers"}
