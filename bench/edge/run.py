"""The edge beside a bare forwarding proxy and two other gateways, in one run on one machine: `make bench-edge`.

The edge runs in a whole system: keys, leases, metering and acknowledged events are on. CPU times are of the gateway's
own processes, as the kernel counts them, so that they hold on a machine whose cores are shared with the load, the
provider and the stores; requests a second and latencies do not. Compare within one run only.
"""

import argparse
import asyncio
import json
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

from bench.edge import gateways
from bench.edge.gateways import Gateway
from bench.edge.load import Measured, OpenStreams, question, read_streams, run_wrk

from e2e.running import Tollgate, running_tollgate
from engines.run import Run, find_engines

PACED_STREAMS = 100


@dataclass
class Results:
    """Of one gateway."""

    requests: dict[int, Measured] = field(default_factory=dict)
    streams: dict[int, Measured] = field(default_factory=dict)
    quiet: Measured | None = None
    chunk_cpu_us: float = 0.0
    stream_kib: float = 0.0


@asynccontextmanager
async def edge(upstream: str, folder: Path) -> AsyncIterator[Gateway]:
    settings = {"TOLLGATE_OPENAI_URL": upstream, "TOLLGATE_OPENAI_API_KEY": "sk-bench"}
    async with running_tollgate(find_engines(), folder / "tollgate", settings=settings) as tollgate:
        customer = await tollgate.sign_up("10000")
        pid = tollgate.supervisor.pid("edge")
        assert pid is not None
        gateway = Gateway("Tollgate edge", f"{tollgate.base_url}/chat/completions", pid, customer.with_key)
        gateways.wait_answers(gateway)
        yield gateway
        await check_recorded(tollgate)


async def check_recorded(tollgate: Tollgate) -> None:
    """What was measured was metered: the spool is empty, so every event was acknowledged by Kafka."""
    spools = [file.stat().st_size for file in (tollgate.system.data / "spool").iterdir()]
    print(f"events in the edge's spool after the load: {sum(spools)} bytes")


async def load(gateway: Gateway, body: bytes, *, connections: int, seconds: float, pause_ms: int = 0) -> Measured:
    return await asyncio.to_thread(run_wrk, gateway, body, connections=connections, seconds=seconds, pause_ms=pause_ms)


async def measure(gateway: Gateway, results: Results, options: argparse.Namespace) -> None:
    plain, stream = question(), question(stream=True)
    await load(gateway, plain, connections=16, seconds=options.warm_s)
    for connections in options.connections:
        results.requests[connections] = await load(gateway, plain, connections=connections, seconds=options.seconds)
    if not gateway.streams:
        return
    await load(gateway, stream, connections=16, seconds=options.warm_s)
    for connections in options.connections[-1:]:
        results.streams[connections] = await load(gateway, stream, connections=connections, seconds=options.seconds)
    before_s = gateway.cpu_s()
    events = await read_streams(gateway, "paced", PACED_STREAMS)
    results.chunk_cpu_us = (gateway.cpu_s() - before_s) * 1e6 / events


async def measure_quiet(gateway: Gateway, results: Results, per_s: float, seconds: float) -> None:
    """Latency at a rate far below the capacity."""
    connections = 16
    pause_ms = max(1, round(connections * 1000 / per_s))
    results.quiet = await load(gateway, question(), connections=connections, seconds=seconds, pause_ms=pause_ms)


async def measure_memory(gateway: Gateway, results: Results, number: int) -> None:
    before = gateway.rss_bytes()
    async with OpenStreams(gateway, number):
        await asyncio.sleep(2)
        results.stream_kib = (gateway.rss_bytes() - before) / 1024 / number


async def run(options: argparse.Namespace) -> dict[str, Results]:
    measured: dict[str, Results] = {}
    with tempfile.TemporaryDirectory(prefix="bench-edge-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(gateways.provider(folder))
        alone = stack.enter_context(gateways.direct(upstream))
        async with AsyncExitStack() as running:
            tollgate = await running.enter_async_context(edge(upstream, folder))
            bare = stack.enter_context(gateways.bare(upstream, folder))
            for gateway in chain((bare, tollgate), peers(upstream, folder, options)):
                results = measured[gateway.name] = Results()
                print(f"measuring {gateway.name}", flush=True)
                await measure(gateway, results, options)
            capacity = max(one.per_s for one in measured[tollgate.name].requests.values())
            measured[alone.name] = Results()
            for gateway in (alone, bare, tollgate):
                await measure_quiet(gateway, measured[gateway.name], capacity / 4, options.seconds)
            for gateway in (bare, tollgate):
                await measure_memory(gateway, measured[gateway.name], options.streams)
    return measured


def peers(upstream: str, folder: Path, options: argparse.Namespace) -> Iterator[Gateway]:
    """One after the other: each is stopped before the next starts."""
    starts: list[Callable[..., object]] = [] if options.no_peers else [gateways.portkey, gateways.litellm]
    for start in starts:
        try:
            with start(upstream, folder) as gateway:  # type: ignore[attr-defined]
                yield gateway
        except gateways.Silent as error:
            # The others' figures are worth having without it.
            print(f"left out: {error}", flush=True)


REQUESTS_HEAD = (
    "| gateway | answer | connections | req/s | p50 ms | p99 ms | CPU µs/request | × bare | req/s/core | failed |"
)
CHUNKS_HEAD = "| gateway | CPU µs/chunk | × bare | KiB/open stream |"


def table(measured: dict[str, Results]) -> str:
    bare, own, alone = measured["bare proxy"], measured["Tollgate edge"], measured["provider alone"]
    lines = [REQUESTS_HEAD, "|" + "---|" * 10]
    for name, results in measured.items():
        for kind, found in (("whole", results.requests), ("stream", results.streams)):
            for connections, one in found.items():
                against = (bare.requests if kind == "whole" else bare.streams)[connections]
                cells = [name, kind, connections, f"{one.per_s:,.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}"]
                cells += [f"{one.cpu_us:.0f}", f"{one.cpu_us / against.cpu_us:.2f}", f"{one.per_s_and_core:,.0f}"]
                lines.append(row(*cells, one.failed))
    lines += ["", CHUNKS_HEAD, "|" + "---|" * 4]
    for name, results in measured.items():
        if results.chunk_cpu_us:
            memory = f"{results.stream_kib:.0f}" if results.stream_kib else ""
            ratio = results.chunk_cpu_us / bare.chunk_cpu_us
            lines.append(row(name, f"{results.chunk_cpu_us:.0f}", f"{ratio:.2f}", memory))
    assert own.quiet is not None
    assert alone.quiet is not None
    assert bare.quiet is not None
    lines += ["", f"Added to the provider's own latency at {own.quiet.per_s:,.0f} requests a second:"]
    for name, one in (("bare proxy", bare.quiet), ("Tollgate edge", own.quiet)):
        p50, p99 = one.p50_ms - alone.quiet.p50_ms, one.p99_ms - alone.quiet.p99_ms
        lines.append(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return "\n".join([*lines, "", *goals(measured)])


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def goals(measured: dict[str, Results]) -> Iterator[str]:
    bare, own, alone = measured["bare proxy"], measured["Tollgate edge"], measured["provider alone"]

    def cpu(results: Results) -> float:
        return statistics.median(one.cpu_us for one in results.requests.values())

    def goal(text: str, value: float, bound: float, *, at_least: bool = False) -> str:
        met = value >= bound if at_least else value <= bound
        return f"{'met   ' if met else 'MISSED'}  {text}: {value:.2f} (goal {'≥' if at_least else '≤'} {bound})"

    assert own.quiet is not None
    assert alone.quiet is not None
    yield goal("CPU a request, × bare", cpu(own) / cpu(bare), 1.6)
    yield goal("CPU a chunk, × bare", own.chunk_cpu_us / bare.chunk_cpu_us, 1.3)
    for name, bound in (("Portkey 1.15.2", 5.0), ("LiteLLM 1.106.2", 40.0)):
        if name in measured:
            yield goal(f"requests a second and core, × {name}", cpu(measured[name]) / cpu(own), bound, at_least=True)
    yield goal("added latency p50, ms", own.quiet.p50_ms - alone.quiet.p50_ms, 1.5)
    yield goal("added latency p99, ms", own.quiet.p99_ms - alone.quiet.p99_ms, 8)
    yield goal("KiB an open stream", own.stream_kib, 80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement")
    parser.add_argument("--warm-s", type=float, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--streams", type=int, default=2000, help="open at once, for the memory of one")
    parser.add_argument("--no-peers", action="store_true", help="only the edge and the bare proxy")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    engines, began = Run(), time.monotonic()
    try:
        measured = asyncio.run(run(options))
    finally:
        engines.end()
    print(table(measured))
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if options.json:
        options.json.write_text(json.dumps({name: asdict(results) for name, results in measured.items()}, indent=1))


if __name__ == "__main__":
    main()
