"""The workers of one edge, as one of them tells of itself and knows the others: by their sheets.

The system deals connections out, so whoever asks an edge how it is, asks any of its workers. Each answers for all.
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
# One that has written nothing for so long does nothing else either: its event loop stands still.
SILENT_MS = 5_000

_SPOOL_BYTES = "spool_bytes"


class State(IntEnum):
    # It does not listen yet.
    STARTING = 0
    SERVING = 1
    # It gets connections, and refuses what comes on them.
    WAITING = 2
    # It gets connections, and says nothing.
    SILENT = 3


class WorkerGroup:
    def __init__(
        self,
        sheets: Sequence[CounterSegment],
        own: CounterSegment,
        *,
        waiting_for: Callable[[], str | None],
        note_gauges: Callable[[], None],
    ) -> None:
        """Build it; `run` tells the others of this worker.

        Args:
            sheets: of all workers, in the order of their numbers.
            own: this worker's.
            waiting_for: None while this worker can serve, otherwise why it cannot.
            note_gauges: writes down what else may have changed.
        """
        self._sheets = sheets
        self._own = own
        self._waiting_for = waiting_for
        self._note_gauges = note_gauges
        self._spool_bytes = own.place(_SPOOL_BYTES)
        own.cells[STATE] = State.STARTING

    async def run(self) -> None:
        """Tell again and again, until this worker takes no more connections and is cancelled."""
        try:
            while True:
                self.tell()
                await asyncio.sleep(BEAT_S)
        finally:
            self._own.cells[PID] = 0

    def tell(self) -> None:
        """Write down how this worker is."""
        cells = self._own.cells
        self._note_gauges()
        if self._waiting_for() is None:
            cells[STATE] = State.SERVING
        elif cells[STATE] == State.SERVING:
            cells[STATE] = State.WAITING
        (family,) = spool.BYTES.collect()
        cells[self._spool_bytes] = int(family.samples[0].value)
        cells[BEAT_MS] = _now_ms()
        cells[PID] = os.getpid()

    def waiting_for(self) -> str | None:
        """None while whoever gets a connection can serve, otherwise who cannot."""
        own = self._waiting_for()
        if own is not None:
            return own
        for number, state in enumerate(self.states(), start=1):
            if state is State.WAITING:
                return f"worker {number}, which cannot serve now"
            if state is State.SILENT:
                return f"worker {number}, which does nothing any more"
        return None

    def states(self) -> list[State]:
        return [_state(sheet) for sheet in self._sheets]

    def registry(self, *collectors: Collector) -> CollectorRegistry:
        """What is told of all workers: by these collectors, and of their processes."""
        registry = CollectorRegistry()
        for collector in (
            PLATFORM_COLLECTOR,
            *collectors,
            _TeamCollector(self, self._sheets),
            _Processes(self._sheets),
        ):
            registry.register(collector)
        return registry


def _state(sheet: CounterSegment) -> State:
    if not sheet.cells[PID]:
        return State.STARTING
    if _now_ms() - sheet.cells[BEAT_MS] > SILENT_MS:
        return State.SILENT
    return State(sheet.cells[STATE])


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class _TeamCollector(Collector):
    def __init__(self, worker_group: WorkerGroup, sheets: Sequence[CounterSegment]) -> None:
        self._worker_group = worker_group
        self._sheets = sheets

    def collect(self) -> Iterator[Metric]:
        self._worker_group.tell()
        running = added_up(sheet for sheet in self._sheets if sheet.cells[PID])
        yield GaugeMetricFamily(spool.BYTES_NAME, spool.BYTES_TEXT, running[_SPOOL_BYTES,][0])
        workers = GaugeMetricFamily(
            "tollgate_edge_workers",
            "Worker processes by what they do; waiting: refuses requests, silent: its event loop stands still.",
            labels=("state",),
        )
        counts = Counter(self._worker_group.states())
        for state in State:
            workers.add_metric((state.name.lower(),), counts[state])
        yield workers


class _Processes(Collector):
    """The client library's metrics of a process, of each worker that runs."""

    def __init__(self, sheets: Sequence[CounterSegment]) -> None:
        self._of_workers = [
            (str(number), sheet, ProcessCollector(pid=partial(sheet.cells.__getitem__, PID), registry=None))
            for number, sheet in enumerate(sheets, start=1)
        ]

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, sheet, collector in self._of_workers:
            for found in collector.collect() if sheet.cells[PID] else ():
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                family.samples += [sample._replace(labels={"worker": worker}) for sample in found.samples]
        yield from families.values()
