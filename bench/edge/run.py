"""The edge beside a bare forwarding proxy and two other gateways, in one run on one machine: `make bench-edge`.

The edge runs in a whole system, with keys, leases, metering and acknowledged events. CPU times are those of the
gateway's own processes, as the kernel counts them. They stay valid when the load, the provider and the stores share the
cores; requests per second and latencies do not. Compare within one run and at one rate only, because a process with
little to do needs more CPU time for each request.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import psutil
from bench.edge import gateways
from bench.edge.gateways import Gateway
from bench.edge.load import Measured, OpenStreams, question, read_streams, run_wrk
from bench.edge.report import Results, report

from e2e.running import Tollgate, running_tollgate
from engines.run import Run, find_engines
from tollgate_local.system import SERVICES

PACED_STREAMS, BEGUN_WITHIN_S = 100, 1.0
MEASUREMENTS = ["requests", "streams", "chunks", "quiet", "memory"]


@asynccontextmanager
async def edge(upstream: str, folder: Path) -> AsyncIterator[Gateway]:
    settings = {"TOLLGATE_OPENAI_URL": upstream, "TOLLGATE_OPENAI_API_KEY": "sk-bench"}
    async with running_tollgate(find_engines(), folder / "tollgate", settings=settings) as tollgate:
        customer = await tollgate.sign_up("10000")
        pid = tollgate.supervisor.pid("edge")
        assert pid is not None
        gateway = Gateway("Tollgate edge", f"{tollgate.base_url}/chat/completions", pid, customer.with_key)
        gateways.wait_answers(gateway)
        with followers_stopped(tollgate):
            yield gateway
        await check_recorded(tollgate)


@contextmanager
def followers_stopped(tollgate: Tollgate) -> Iterator[None]:
    """Pause the services that consume the edge's events. In production they do not share the edge's cores.

    Billing and analytics are stopped, because no request needs them. The balance service runs at the lowest priority,
    because it also grants leases.
    """
    pids = {service.kind: tollgate.supervisor.pid(service.name) for service in SERVICES}
    stopped = [psutil.Process(pids[kind]) for kind in ("billing", "analytics")]
    psutil.Process(pids["balance"]).nice(19)
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


async def check_recorded(tollgate: Tollgate) -> None:
    """Check that all load was metered: the spool is empty, so Kafka has acknowledged every event."""
    spools = [file.stat().st_size for file in (tollgate.system.data / "spool").iterdir()]
    print(f"events in the edge's spool after the load: {sum(spools)} bytes")


async def load(gateway: Gateway, body: bytes, *, connections: int, seconds: float, pause_ms: int = 0) -> Measured:
    return await asyncio.to_thread(run_wrk, gateway, body, connections=connections, seconds=seconds, pause_ms=pause_ms)


async def measure(gateway: Gateway, results: Results, options: argparse.Namespace) -> None:
    plain, stream = question(), question(stream=True)
    if "requests" in options.only:
        await load(gateway, plain, connections=16, seconds=options.warm_s)
        for connections in options.connections:
            results.requests[connections] = await load(gateway, plain, connections=connections, seconds=options.seconds)
    if "streams" in options.only and gateway.streams:
        await load(gateway, stream, connections=16, seconds=options.warm_s)
        most = options.connections[-1]
        results.streams[most] = await load(gateway, stream, connections=most, seconds=options.seconds)
    if "chunks" in options.only and gateway.streams:
        await read_streams(gateway, "bench", PACED_STREAMS)
        before_s = gateway.cpu_s()
        events = await read_streams(gateway, "paced", PACED_STREAMS, within_s=BEGUN_WITHIN_S)
        results.chunk_cpu_us = (gateway.cpu_s() - before_s) * 1e6 / events


async def measure_quiet(gateway: Gateway, results: Results, per_s: float, seconds: float) -> None:
    """Measure the latency at a rate far below the capacity."""
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
            measured[alone.name] = Results()
            if {"requests", "quiet"} <= set(options.only):
                capacity = max(one.per_s for one in measured[tollgate.name].requests.values())
                for gateway in (alone, bare, tollgate):
                    await measure_quiet(gateway, measured[gateway.name], capacity / 4, options.seconds)
            if "memory" in options.only:
                for gateway in (bare, tollgate):
                    await measure_memory(gateway, measured[gateway.name], options.streams)
    return measured


def peers(upstream: str, folder: Path, options: argparse.Namespace) -> Iterator[Gateway]:
    """Measure the other gateways. Each is stopped before the next one starts."""
    starts: list[Callable[..., object]] = [] if options.no_peers else [gateways.portkey, gateways.litellm]
    for start in starts:
        try:
            with start(upstream, folder) as gateway:  # type: ignore[attr-defined]
                yield gateway
        except gateways.Silent as error:
            # The figures of the other gateways are useful without this one.
            print(f"skipped: {error}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="duration of each measurement")
    parser.add_argument("--warm-s", type=float, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument(
        "--streams", type=int, default=2000, help="number of open streams, to measure the memory of one"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=MEASUREMENTS,
        default=MEASUREMENTS,
        help="measurements to run; quiet needs requests",
    )
    parser.add_argument("--no-peers", action="store_true", help="measure only the edge and the bare proxy")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    engines, began = Run(), time.monotonic()
    try:
        measured = asyncio.run(run(options))
    finally:
        engines.end()
    print(report(measured))
    print(f"\n{time.monotonic() - began:.0f} s in total")
    if options.json:
        options.json.write_text(json.dumps({name: asdict(results) for name, results in measured.items()}, indent=1))


if __name__ == "__main__":
    main()
