"""Metrics of an edge: its requests, their time to first byte, and its attempts at providers.

Counted in plain numbers, by one thread, on a segment that all workers of the edge can read; `prometheus_client` is told
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

# Upper bounds in milliseconds. The first token of a model takes from a tenth of a second to a minute.
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
SERVED = "served"

# The first part of a number's name. Its labels follow.
RUNNING = "running"
ANSWERS = "answers"
ATTEMPTS = "attempts"
IMPOSSIBLE_USAGE = "impossible_usage"
# A count for each bound, one for longer times, and the sum of all times in milliseconds.
FIRST_BYTES = "first_bytes"
_SUM = len(BOUNDS_MS) + 1
# End of an open circuit, in milliseconds of the monotonic clock of the machine; 0 if it is closed.
AVOIDED_UNTIL = "avoided_until"

CircuitBreakers = Callable[[], Iterable[tuple[str, CircuitBreaker]]]
LabelsT = TypeVar("LabelsT", bound=Hashable)


class _Offsets(dict[LabelsT, int]):
    """The offsets of numbers by their labels, each looked up once."""

    def __init__(self, find: Callable[[LabelsT], int]) -> None:
        self._find = find

    def __missing__(self, labels: LabelsT) -> int:
        offset = self[labels] = self._find(labels)
        return offset


class EdgeCounts:
    """Counts of this worker, which it writes to its segment."""

    def __init__(self, segment: CounterSegment) -> None:
        """Continue the counts of a previous worker in the segment, but with no requests in flight."""
        self.running = 0
        self.segment = segment
        self._slots = segment.slots
        self._running = segment.offset(RUNNING)
        self._slots[self._running] = 0
        self._answers = _Offsets[tuple[str, int]](lambda labels: segment.offset(ANSWERS, labels[0], str(labels[1])))
        self._first_bytes = _Offsets[str](lambda endpoint: segment.offset(FIRST_BYTES, endpoint, size=_SUM + 1))
        self._attempts = _Offsets[tuple[str, str, str]](lambda labels: segment.offset(ATTEMPTS, *labels))
        self._impossible_usage = _Offsets[str](lambda provider: segment.offset(IMPOSSIBLE_USAGE, provider))
        self._avoided_until = _Offsets[str](lambda target: segment.offset(AVOIDED_UNTIL, target))

    def arrived(self) -> None:
        self.running += 1
        self._slots[self._running] = self.running

    def answered(self, endpoint: str, status: int, first_byte_ms: int | None) -> None:
        """Count a finished request. `first_byte_ms` is None if its client left before the response started."""
        slots = self._slots
        self.running -= 1
        slots[self._running] = self.running
        slots[self._answers[endpoint, status]] += 1
        if first_byte_ms is not None:
            offset = self._first_bytes[endpoint]
            slots[offset + bisect_left(BOUNDS_MS, first_byte_ms)] += 1
            slots[offset + _SUM] += first_byte_ms

    def attempted(self, failed: Iterable[FailedAttempt], served_by: Target | None) -> None:
        """Count the attempts of one request."""
        for attempt in failed:
            result = attempt.error_code if attempt.status is None else str(attempt.status)
            self._slots[self._attempts[attempt.provider, attempt.target, result]] += 1
        if served_by is not None:
            self._slots[self._attempts[served_by.connection.provider_name, served_by.name, SERVED]] += 1

    def stated_impossible_usage(self, provider: str) -> None:
        """Count a response whose usage cannot be true, such as more cached tokens than the prompt has."""
        self._slots[self._impossible_usage[provider]] += 1

    def avoids(self, breakers: Iterable[tuple[str, CircuitBreaker]]) -> None:
        """Write the end of each target's open circuit, by its name and breakers."""
        now_s = time.monotonic()
        until_ms: dict[str, int] = {}
        for target, breaker in breakers:
            open_s = breaker.remaining_open_s(now_s)
            until_ms[target] = max(until_ms.get(target, 0), int((now_s + open_s) * 1000) if open_s else 0)
        for target, ms in until_ms.items():
            self._slots[self._avoided_until[target]] = ms


class EdgeCollector(Collector):
    """Collects the metrics of all workers. Counters include ended workers, gauges only running ones."""

    def __init__(self, counts: EdgeCounts, breakers: CircuitBreakers, segments: Sequence[CounterSegment]) -> None:
        """Build it.

        Args:
            counts: counts of this process.
            breakers: returns every target's name and its breaker in this process.
            segments: segments of all workers, including this one's.
        """
        self._counts = counts
        self._breakers = breakers
        self._segments = segments

    def note_gauges(self) -> None:
        """Write this worker's gauges that change without a request, for the other workers."""
        self._counts.avoids(self._breakers())

    def collect(self) -> Iterator[Metric]:
        self.note_gauges()
        happened = added_up(self._segments)
        running = [segment for segment in self._segments if segment.slots[PID]]
        yield GaugeMetricFamily(
            "tollgate_edge_requests_in_flight", "Model requests in flight.", added_up(running).get((RUNNING,), [0])[0]
        )
        yield _counter(
            "tollgate_edge_requests",
            "Finished model requests by HTTP status; 499: the client left before a response.",
            ("endpoint", "status"),
            _labelled(happened, ANSWERS),
        )
        yield _first_bytes(_labelled(happened, FIRST_BYTES))
        yield _counter(
            "tollgate_edge_provider_attempts",
            "Attempts at a target; result is served, the provider's HTTP status, or the reason without one.",
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
            "Remaining time for which a target is skipped, after failures or at its request, if others are available.",
            labels=("target",),
        )
        now_ms = time.monotonic() * 1000
        told = [dict(segment.numbers()) for segment in running]
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
        "Time from a request's arrival to the first byte of its response, including the provider's time.",
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
