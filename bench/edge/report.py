"""The report: tables of the measurements, and the goals that they meet."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.edge.load import Measured


@dataclass
class Results:
    """The results of one gateway."""

    requests: dict[int, Measured] = field(default_factory=dict)
    streams: dict[int, Measured] = field(default_factory=dict)
    quiet: Measured | None = None
    chunk_cpu_us: float = 0.0
    stream_kib: float = 0.0


REQUESTS_HEAD = (
    "| gateway | answer | connections | req/s | p50 ms | p99 ms | CPU µs/request | × bare | req/s/core | failed |"
)
CHUNKS_HEAD = "| gateway | CPU µs/chunk | × bare | KiB/open stream |"
BARE, OWN, ALONE = "bare proxy", "Tollgate edge", "provider alone"
PEERS = {"Portkey 1.15.2": 5.0, "LiteLLM 1.106.2": 40.0}


def report(measured: Mapping[str, Results]) -> str:
    """Return tables of the existing measurements, then the goals."""
    lines = [*requests_table(measured), "", *chunks_table(measured), "", *added_latency(measured)]
    return "\n".join([*lines, "", *goals(measured)])


def requests_table(measured: Mapping[str, Results]) -> Iterator[str]:
    bare = measured[BARE]
    yield REQUESTS_HEAD
    yield "|" + "---|" * 10
    for name, results in measured.items():
        for kind, found in (("whole", results.requests), ("stream", results.streams)):
            for connections, one in found.items():
                against = (bare.requests if kind == "whole" else bare.streams)[connections]
                cells = [name, kind, connections, f"{one.per_s:,.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}"]
                cells += [f"{one.cpu_us:.0f}", f"{one.cpu_us / against.cpu_us:.2f}", f"{one.per_s_and_core:,.0f}"]
                yield row(*cells, one.failed)


def chunks_table(measured: Mapping[str, Results]) -> Iterator[str]:
    yield CHUNKS_HEAD
    yield "|" + "---|" * 4
    for name, results in measured.items():
        if results.chunk_cpu_us or results.stream_kib:
            ratio = results.chunk_cpu_us / (measured[BARE].chunk_cpu_us or 1)
            yield row(name, f"{results.chunk_cpu_us:.0f}", f"{ratio:.2f}", f"{results.stream_kib:.0f}")


def added_latency(measured: Mapping[str, Results]) -> Iterator[str]:
    alone = measured[ALONE].quiet
    for name in (BARE, OWN):
        one = measured[name].quiet
        if one is not None and alone is not None:
            p50, p99 = one.p50_ms - alone.p50_ms, one.p99_ms - alone.p99_ms
            yield (
                f"At {one.per_s:,.0f} requests a second the {name} adds p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
                f"and takes {one.cpu_us:.0f} µs of CPU a request"
            )


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def goals(measured: Mapping[str, Results]) -> Iterator[str]:
    """Return the goals that have a measurement."""
    bare, own, alone = measured[BARE], measured[OWN], measured[ALONE]

    def cpu(results: Results) -> float:
        return statistics.median(one.cpu_us for one in results.requests.values())

    def goal(text: str, value: float, bound: float, *, at_least: bool = False) -> str:
        met = value >= bound if at_least else value <= bound
        return f"{'met   ' if met else 'MISSED'}  {text}: {value:.2f} (goal {'≥' if at_least else '≤'} {bound})"

    if own.requests:
        yield goal("CPU a request, × bare", cpu(own) / cpu(bare), 1.6)
    if own.chunk_cpu_us:
        yield goal("CPU a chunk, × bare", own.chunk_cpu_us / bare.chunk_cpu_us, 1.3)
    for name, bound in PEERS.items():
        if name in measured and measured[name].requests:
            yield goal(f"requests a second and core, × {name}", cpu(measured[name]) / cpu(own), bound, at_least=True)
    if own.quiet is not None and alone.quiet is not None:
        yield goal("added latency p50, ms", own.quiet.p50_ms - alone.quiet.p50_ms, 1.5)
        yield goal("added latency p99, ms", own.quiet.p99_ms - alone.quiet.p99_ms, 8)
    if own.stream_kib:
        yield goal("KiB an open stream", own.stream_kib, 80)
