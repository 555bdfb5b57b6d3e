"""The status of the workers of one edge, which they share through their segments.

The kernel spreads connections over the workers, so a request for health or metrics reaches any of them. Each worker
therefore reports for all.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import partial

from prometheus_client import PLATFORM_COLLECTOR, CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tollgate_edge.event_log import spool
from tollgate_edge.observability.shared_counters import BEAT_MS, PID, STATE, CounterSegment, added_up

BEAT_S = 1.0
# A worker without a heartbeat for this long is blocked: its event loop does not run.
SILENT_MS = 5_000

_SPOOL_BYTES = "spool_bytes"


class State(IntEnum):
    # It does not listen yet.
    STARTING = 0
    SERVING = 1
    # It accepts connections and rejects their requests.
    WAITING = 2
    # It accepts connections and does not respond.
    SILENT = 3


class WorkerGroup:
    def __init__(
        self,
        segments: Sequence[CounterSegment],
        own: CounterSegment,
        *,
        waiting_for: Callable[[], str | None],
        note_gauges: Callable[[], None],
    ) -> None:
        """Build it; `run` publishes the heartbeats of this worker.

        Args:
            segments: of all workers, in the order of their numbers.
            own: this worker's.
            waiting_for: None while this worker can serve, otherwise why it cannot.
            note_gauges: writes gauges that change without a request.
        """
        self._segments = segments
        self._own = own
        self._waiting_for = waiting_for
        self._note_gauges = note_gauges
        self._spool_bytes = own.offset(_SPOOL_BYTES)
        own.slots[STATE] = State.STARTING

    async def run(self) -> None:
        """Publish heartbeats until canceled, when this worker accepts no more connections."""
        try:
            while True:
                self.publish_heartbeat()
                await asyncio.sleep(BEAT_S)
        finally:
            self._own.slots[PID] = 0

    def publish_heartbeat(self) -> None:
        """Write this worker's state and gauges to its segment."""
        slots = self._own.slots
        self._note_gauges()
        if self._waiting_for() is None:
            slots[STATE] = State.SERVING
        elif slots[STATE] == State.SERVING:
            slots[STATE] = State.WAITING
        (family,) = spool.BYTES.collect()
        slots[self._spool_bytes] = int(family.samples[0].value)
        slots[BEAT_MS] = _now_ms()
        slots[PID] = os.getpid()

    def waiting_for(self) -> str | None:
        """Return None while all workers that accept connections can serve, otherwise which worker cannot."""
        own = self._waiting_for()
        if own is not None:
            return own
        for number, state in enumerate(self.states(), start=1):
            if state is State.WAITING:
                return f"worker {number}, which cannot serve requests"
            if state is State.SILENT:
                return f"worker {number}, which sends no heartbeat"
        return None

    def states(self) -> list[State]:
        return [_state(segment) for segment in self._segments]

    def registry(self, *collectors: Collector) -> CollectorRegistry:
        """Return the registry for metrics of all workers: these collectors, and those of the processes."""
        registry = CollectorRegistry()
        for collector in (
            PLATFORM_COLLECTOR,
            *collectors,
            _WorkerGroupCollector(self, self._segments),
            _Processes(self._segments),
        ):
            registry.register(collector)
        return registry


def _state(segment: CounterSegment) -> State:
    if not segment.slots[PID]:
        return State.STARTING
    if _now_ms() - segment.slots[BEAT_MS] > SILENT_MS:
        return State.SILENT
    return State(segment.slots[STATE])


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class _WorkerGroupCollector(Collector):
    def __init__(self, worker_group: WorkerGroup, segments: Sequence[CounterSegment]) -> None:
        self._worker_group = worker_group
        self._segments = segments

    def collect(self) -> Iterator[Metric]:
        self._worker_group.publish_heartbeat()
        running = added_up(segment for segment in self._segments if segment.slots[PID])
        yield GaugeMetricFamily(spool.BYTES_NAME, spool.BYTES_TEXT, running[_SPOOL_BYTES,][0])
        workers = GaugeMetricFamily(
            "tollgate_edge_workers",
            "Worker processes by state; waiting: rejects requests, silent: its event loop is blocked.",
            labels=("state",),
        )
        counts = Counter(self._worker_group.states())
        for state in State:
            workers.add_metric((state.name.lower(),), counts[state])
        yield workers


class _Processes(Collector):
    """The client library's process metrics, for each running worker."""

    def __init__(self, segments: Sequence[CounterSegment]) -> None:
        self._of_workers = [
            (str(number), segment, ProcessCollector(pid=partial(segment.slots.__getitem__, PID), registry=None))
            for number, segment in enumerate(segments, start=1)
        ]

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, segment, collector in self._of_workers:
            for found in collector.collect() if segment.slots[PID] else ():
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                family.samples += [sample._replace(labels={"worker": worker}) for sample in found.samples]
        yield from families.values()
