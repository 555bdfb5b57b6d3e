"""What an operator watches of an edge: its answers, how long they took to begin, its attempts at providers.

Counted in plain numbers, by one thread; `prometheus_client` is told when it asks. Its own counters take a lock and
look their labels up each time, which is microseconds of a request that has few.
"""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tollgate_common.events import FailedAttempt
from tollgate_edge.routing.breaker import Breaker
from tollgate_edge.routing.routes import Target

# Upper bounds in milliseconds: a model's first token takes from a tenth of a second to a minute.
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
SERVED = "served"


class EdgeCounts:
    """What has happened since the process began."""

    def __init__(self) -> None:
        self.running = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        self.first_bytes: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS_MS) + 1))
        self.first_bytes_ms: Counter[str] = Counter()
        self.attempts: Counter[tuple[str, str, str]] = Counter()

    def answered(self, endpoint: str, status: int, first_byte_ms: int | None) -> None:
        """Count a request that is over; `first_byte_ms` None: its client left before its answer began."""
        self.answers[endpoint, status] += 1
        if first_byte_ms is not None:
            self.first_bytes[endpoint][bisect_left(BOUNDS_MS, first_byte_ms)] += 1
            self.first_bytes_ms[endpoint] += first_byte_ms

    def attempted(self, failed: Iterable[FailedAttempt], served_by: Target | None) -> None:
        """Count the attempts of one request."""
        for attempt in failed:
            result = attempt.error_code if attempt.status is None else str(attempt.status)
            self.attempts[attempt.provider, attempt.target, result] += 1
        if served_by is not None:
            self.attempts[served_by.connection.provider_name, served_by.name, SERVED] += 1


class EdgeCollector(Collector):
    def __init__(self, counts: EdgeCounts, breakers: Callable[[], Iterable[tuple[str, Breaker]]]) -> None:
        """Build it.

        Args:
            counts: of this process.
            breakers: every target's name and its breaker.
        """
        self._counts = counts
        self._breakers = breakers

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        yield GaugeMetricFamily("tollgate_edge_running", "Calls of models under way.", counts.running)
        answers = CounterMetricFamily(
            "tollgate_edge_answers",
            "Calls of models that are over, by HTTP status; 499: the client left before an answer.",
            labels=("endpoint", "status"),
        )
        for (endpoint, status), count in counts.answers.items():
            answers.add_metric((endpoint, str(status)), count)
        yield answers
        yield self._first_bytes()
        attempts = CounterMetricFamily(
            "tollgate_edge_attempts",
            "Attempts at a target; result is served, the provider's HTTP status, or why there was none.",
            labels=("provider", "target", "result"),
        )
        for labels, count in counts.attempts.items():
            attempts.add_metric(labels, count)
        yield attempts
        yield self._avoided()

    def _first_bytes(self) -> Metric:
        family = HistogramMetricFamily(
            "tollgate_edge_first_byte_seconds",
            "From a call's arrival to the first byte of its answer, the provider's time included.",
            labels=("endpoint",),
        )
        for endpoint, numbers in self._counts.first_bytes.items():
            buckets: list[tuple[str, float]] = []
            total = 0
            for bound, number in zip([*(str(ms / 1000) for ms in BOUNDS_MS), "+Inf"], numbers, strict=True):
                total += number
                buckets.append((bound, total))
            family.add_metric((endpoint,), buckets, self._counts.first_bytes_ms[endpoint] / 1000)
        return family

    def _avoided(self) -> Metric:
        family = GaugeMetricFamily(
            "tollgate_edge_target_avoided_seconds",
            "For how long a target that failed, or asked for it, is not tried while others can be.",
            labels=("target",),
        )
        now_s = time.monotonic()
        avoided_s: dict[str, float] = {}
        for target, breaker in self._breakers():
            avoided_s[target] = max(avoided_s.get(target, 0), breaker.open_for_s(now_s))
        for target, seconds in avoided_s.items():
            family.add_metric((target,), seconds)
        return family
