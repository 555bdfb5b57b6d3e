"""What an operator's Prometheus reads of an edge, by the client library's own parser."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tollgate_common.events import FailedAttempt
from tollgate_edge.observability.metrics import EdgeCollector, EdgeCounts
from tollgate_edge.observability.shared_counters import PID, CounterSegment
from tollgate_edge.routing.circuit_breaker import CircuitBreaker

CHAT = "/v1/chat/completions"


def scraped(
    counts: EdgeCounts, *breakers: tuple[str, CircuitBreaker], others: Sequence[CounterSegment] = ()
) -> dict[tuple[str, ...], float]:
    """Each sample's value, by its name and the values of its labels, in the order of the labels' names."""
    registry = CollectorRegistry()
    registry.register(EdgeCollector(counts, lambda: breakers, [counts.segment, *others]))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (s.name, *(value for _, value in sorted(s.labels.items()))): s.value
        for family in families
        for s in family.samples
    }


def test_answers_and_the_time_to_their_first_byte() -> None:
    counts = EdgeCounts(CounterSegment.own())
    for status, first_byte_ms in ((200, 5), (200, 6), (402, 1), (499, None), (200, 90_000)):
        counts.answered(CHAT, status, first_byte_ms)
    found = scraped(counts)
    assert found["tollgate_edge_requests_total", CHAT, "200"] == 3
    assert found["tollgate_edge_requests_total", CHAT, "499"] == 1
    bucket = "tollgate_edge_time_to_first_byte_seconds_bucket"
    assert [found[bucket, CHAT, bound] for bound in ("0.005", "0.01", "60.0", "+Inf")] == [2, 3, 3, 4]
    assert found["tollgate_edge_time_to_first_byte_seconds_count", CHAT] == 4
    assert found["tollgate_edge_time_to_first_byte_seconds_sum", CHAT] == 90.012


def test_attempts_by_their_result() -> None:
    counts = EdgeCounts(CounterSegment.own())
    refused = FailedAttempt(
        target="openai/gpt-4o", provider="openai", latency_ms=1, status=None, error_code="connect_failed"
    )
    busy = FailedAttempt(target="openai/gpt-4o", provider="openai", latency_ms=1, status=429, error_code="rate_limited")
    counts.attempted([refused, busy, busy], None)
    found = scraped(counts)
    assert found["tollgate_edge_provider_attempts_total", "openai", "429", "openai/gpt-4o"] == 2
    assert found["tollgate_edge_provider_attempts_total", "openai", "connect_failed", "openai/gpt-4o"] == 1


def test_a_target_that_is_avoided_is_told_once_though_it_has_had_other_settings() -> None:
    counts = EdgeCounts(CounterSegment.own())
    failing = CircuitBreaker(failures_to_open=1, open_s=1_000)
    failing.record_failure(0)
    failing.open_until(1e12)
    found = scraped(
        counts, ("openai/gpt-4o", failing), ("openai/gpt-4o", CircuitBreaker(2, 10)), ("b", CircuitBreaker(1, 1))
    )
    assert found["tollgate_edge_circuit_open_seconds", "openai/gpt-4o"] > 1_000
    assert found["tollgate_edge_circuit_open_seconds", "b"] == 0


def test_impossible_usage_is_counted_by_provider() -> None:
    counts = EdgeCounts(CounterSegment.own())
    counts.stated_impossible_usage("moonshot")
    counts.stated_impossible_usage("moonshot")
    counts.stated_impossible_usage("xai")
    found = scraped(counts)
    assert found["tollgate_edge_impossible_usage_total", "moonshot"] == 2
    assert found["tollgate_edge_impossible_usage_total", "xai"] == 1


def test_workers_add_up_and_only_what_happened_outlives_one() -> None:
    here, dead = EdgeCounts(CounterSegment.own()), EdgeCounts(CounterSegment.own())
    for counts, milliseconds in ((here, 5), (dead, 7)):
        for _ in range(2):
            counts.arrived()
        counts.answered(CHAT, 200, milliseconds)
    dead.answered(CHAT, 502, None)
    dead.arrived()
    avoiding = CircuitBreaker(failures_to_open=1, open_s=1_000)
    avoiding.record_failure(time.monotonic())
    dead.avoids([("a", avoiding)])

    found = scraped(here, ("a", CircuitBreaker(1, 1)), others=[dead.segment])
    assert found["tollgate_edge_requests_in_flight",] == 2
    assert found["tollgate_edge_circuit_open_seconds", "a"] > 700
    dead.segment.slots[PID] = 0
    found = scraped(here, ("a", CircuitBreaker(1, 1)), others=[dead.segment])
    assert found["tollgate_edge_requests_in_flight",] == 1
    assert found["tollgate_edge_circuit_open_seconds", "a"] == 0

    assert [found["tollgate_edge_requests_total", CHAT, status] for status in ("200", "502")] == [2, 1]
    bucket = "tollgate_edge_time_to_first_byte_seconds_bucket"
    assert [found[bucket, CHAT, bound] for bound in ("0.005", "0.01", "+Inf")] == [1, 2, 2]
    assert found["tollgate_edge_time_to_first_byte_seconds_sum", CHAT] == 0.012
