"""What an operator watches of an edge: its answers, how long they took to begin, its attempts at providers.

Counted in plain numbers, by one thread, on a sheet that all workers of the edge can read; `prometheus_client` is told
when it asks. Its own counters take a lock and look their labels up each time, which is microseconds of a request that
has few.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tollgate_common.events import FailedAttempt
from tollgate_edge.observability.shared_counters import PID, CounterSegment, Name, added_up
from tollgate_edge.routing.circuit_breaker import CircuitBreaker
from tollgate_edge.routing.routes import Target

# Upper bounds in milliseconds: a model's first token takes from a tenth of a second to a minute.
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
SERVED = "served"

# The names of numbers begin with these; labels follow.
RUNNING = "running"
ANSWERS = "answers"
ATTEMPTS = "attempts"
IMPOSSIBLE_USAGE = "impossible_usage"
# A number for each bound, one for what took longer, and the sum of all in milliseconds.
FIRST_BYTES = "first_bytes"
_SUM = len(BOUNDS_MS) + 1
# Until when, in milliseconds of the clock that all processes of a machine share; 0: not at all.
AVOIDED_UNTIL = "avoided_until"

CircuitBreakers = Callable[[], Iterable[tuple[str, CircuitBreaker]]]
LabelsT = TypeVar("LabelsT", bound=Hashable)


class _Places(dict[LabelsT, int]):
    """Where numbers stand, by their labels: the sheet is asked once for each."""

    def __init__(self, find: Callable[[LabelsT], int]) -> None:
        self._find = find

    def __missing__(self, labels: LabelsT) -> int:
        place = self[labels] = self._find(labels)
        return place


class EdgeCounts:
    """What has happened, written on a sheet."""

    def __init__(self, sheet: CounterSegment) -> None:
        """Go on with what the sheet tells of a worker before, but with nothing under way."""
        self.running = 0
        self.sheet = sheet
        self._cells = sheet.cells
        self._running = sheet.place(RUNNING)
        self._cells[self._running] = 0
        self._answers = _Places[tuple[str, int]](lambda labels: sheet.place(ANSWERS, labels[0], str(labels[1])))
        self._first_bytes = _Places[str](lambda endpoint: sheet.place(FIRST_BYTES, endpoint, size=_SUM + 1))
        self._attempts = _Places[tuple[str, str, str]](lambda labels: sheet.place(ATTEMPTS, *labels))
        self._impossible_usage = _Places[str](lambda provider: sheet.place(IMPOSSIBLE_USAGE, provider))
        self._avoided_until = _Places[str](lambda target: sheet.place(AVOIDED_UNTIL, target))

    def arrived(self) -> None:
        self.running += 1
        self._cells[self._running] = self.running

    def answered(self, endpoint: str, status: int, first_byte_ms: int | None) -> None:
        """Count a request that is over; `first_byte_ms` None: its client left before its answer began."""
        cells = self._cells
        self.running -= 1
        cells[self._running] = self.running
        cells[self._answers[endpoint, status]] += 1
        if first_byte_ms is not None:
            place = self._first_bytes[endpoint]
            cells[place + bisect_left(BOUNDS_MS, first_byte_ms)] += 1
            cells[place + _SUM] += first_byte_ms

    def attempted(self, failed: Iterable[FailedAttempt], served_by: Target | None) -> None:
        """Count the attempts of one request."""
        for attempt in failed:
            result = attempt.error_code if attempt.status is None else str(attempt.status)
            self._cells[self._attempts[attempt.provider, attempt.target, result]] += 1
        if served_by is not None:
            self._cells[self._attempts[served_by.connection.provider_name, served_by.name, SERVED]] += 1

    def stated_impossible_usage(self, provider: str) -> None:
        """Count a response whose usage cannot be true, such as more cached tokens than the prompt has."""
        self._cells[self._impossible_usage[provider]] += 1

    def avoids(self, breakers: Iterable[tuple[str, CircuitBreaker]]) -> None:
        """Write down until when each target is avoided, by its name and its breakers."""
        now_s = time.monotonic()
        until_ms: dict[str, int] = {}
        for target, breaker in breakers:
            open_s = breaker.remaining_open_s(now_s)
            until_ms[target] = max(until_ms.get(target, 0), int((now_s + open_s) * 1000) if open_s else 0)
        for target, ms in until_ms.items():
            self._cells[self._avoided_until[target]] = ms


class EdgeCollector(Collector):
    """Tells of all workers, whichever is asked: what happened, gone ones included, and what is, of those that run."""

    def __init__(self, counts: EdgeCounts, breakers: CircuitBreakers, sheets: Sequence[CounterSegment]) -> None:
        """Build it.

        Args:
            counts: of this process.
            breakers: every target's name and its breaker, of this process.
            sheets: of all workers, this one's among them.
        """
        self._counts = counts
        self._breakers = breakers
        self._sheets = sheets

    def note_gauges(self) -> None:
        """Write down, for the other workers, what of this one changes without a request."""
        self._counts.avoids(self._breakers())

    def collect(self) -> Iterator[Metric]:
        self.note_gauges()
        happened = added_up(self._sheets)
        running = [sheet for sheet in self._sheets if sheet.cells[PID]]
        yield GaugeMetricFamily(
            "tollgate_edge_requests_in_flight", "Calls of models under way.", added_up(running).get((RUNNING,), [0])[0]
        )
        yield _counter(
            "tollgate_edge_requests",
            "Calls of models that are over, by HTTP status; 499: the client left before an answer.",
            ("endpoint", "status"),
            _labelled(happened, ANSWERS),
        )
        yield _first_bytes(_labelled(happened, FIRST_BYTES))
        yield _counter(
            "tollgate_edge_provider_attempts",
            "Attempts at a target; result is served, the provider's HTTP status, or why there was none.",
            ("provider", "target", "result"),
            _labelled(happened, ATTEMPTS),
        )
        yield _counter(
            "tollgate_edge_impossible_usage",
            "Responses whose stated usage cannot be true: negative, too large, or a detail above its total.",
            ("provider",),
            _labelled(happened, IMPOSSIBLE_USAGE),
        )
        yield self._avoided(running)

    def _avoided(self, running: Iterable[CounterSegment]) -> Metric:
        family = GaugeMetricFamily(
            "tollgate_edge_circuit_open_seconds",
            "For how long a target that failed, or asked for it, is not tried while others can be.",
            labels=("target",),
        )
        now_ms = time.monotonic() * 1000
        told = [dict(sheet.numbers()) for sheet in running]
        for target in dict.fromkeys(target for target, _ in self._breakers()):
            until_ms = max((numbers.get((AVOIDED_UNTIL, target), [0])[0] for numbers in told), default=0)
            family.add_metric((target,), max(0.0, until_ms - now_ms) / 1000)
        return family


def _labelled(numbers: Mapping[Name, Sequence[int]], kind: str) -> dict[Name, Sequence[int]]:
    return {name[1:]: values for name, values in numbers.items() if name[0] == kind}


def _counter(name: str, text: str, labels: Sequence[str], counts: Mapping[Name, Sequence[int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, (count,) in counts.items():
        family.add_metric(values, count)
    return family


def _first_bytes(of_endpoints: Mapping[Name, Sequence[int]]) -> Metric:
    family = HistogramMetricFamily(
        "tollgate_edge_time_to_first_byte_seconds",
        "From a call's arrival to the first byte of its answer, the provider's time included.",
        labels=("endpoint",),
    )
    for labels, numbers in of_endpoints.items():
        buckets: list[tuple[str, float]] = []
        total = 0
        bounds = [*(str(ms / 1000) for ms in BOUNDS_MS), "+Inf"]
        for bound, number in zip(bounds, numbers[:_SUM], strict=True):
            total += number
            buckets.append((bound, total))
        family.add_metric(labels, buckets, numbers[_SUM] / 1000)
    return family
