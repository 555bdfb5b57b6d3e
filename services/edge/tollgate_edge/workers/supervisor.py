"""The supervisor runs several worker processes on one port.

Each worker is a complete edge with its own boot id, spool file, leases and listening socket. The sockets share the port
(SO_REUSEPORT), so the kernel spreads connections over the workers. A worker listens once it can serve. The supervisor
restarts a worker that ends; another worker adopts its spool, and balance fences its leases. It kills a worker whose
event loop is blocked, because a probe may not reach that worker. If the supervisor ends for any reason, the pipe to its
workers closes, and they shut down in order.

Each worker writes its counters to its segment. The supervisor owns the memory, and every worker maps it.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from tollgate_edge.observability.shared_counters import BEAT_MS, PID, CounterSegment

log = logging.getLogger(__name__)

# The environment of a worker: the pipe that stays open while its supervisor lives; the file descriptors of all workers'
# segments, separated by commas; and the number of its own segment, from 0.
PIPE_VARIABLE = "TOLLGATE_WORKER_PIPE"
SEGMENTS_VARIABLE = "TOLLGATE_WORKER_SEGMENTS"
NUMBER_VARIABLE = "TOLLGATE_WORKER_NUMBER"
RESTART_DELAY_S = 1.0
# A worker that ends sooner counts as a failure. After this many failures in a row, the supervisor stops.
WORKED_S = 20.0
MAX_FAILURES = 5
# Timeout to make events durable and close leases, after the requests have ended.
CLOSE_WITHIN_S = 30.0
WATCH_S = 1.0
# Checks in a row without a heartbeat, after which a worker is killed. Checks are counted instead of time, because a
# paused machine or supervisor must not count as silence of the workers.
MAX_SILENT = 30


def is_worker() -> bool:
    return PIPE_VARIABLE in os.environ


def end_with_supervisor() -> None:
    """Stop this worker once its supervisor has ended. Call it in the running loop."""
    pipe = int(os.environ[PIPE_VARIABLE])
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(pipe)
        log.warning("the supervisor has ended; this worker stops")
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(pipe, stop)


def worker_segments() -> tuple[list[CounterSegment], CounterSegment]:
    """Return all segments, and this worker's own. Call it once, because it closes the files."""
    segments = []
    for descriptor in map(int, os.environ[SEGMENTS_VARIABLE].split(",")):
        segments.append(CounterSegment.shared(descriptor))
        os.close(descriptor)
    return segments, segments[int(os.environ[NUMBER_VARIABLE])]


class Supervisor:
    def __init__(self, count: int, host: str, port: int, *, drain_s: float) -> None:
        """Build the supervisor; `run` starts the workers.

        Args:
            count: number of workers.
            host: address to listen on.
            port: the port, which all workers share.
            drain_s: how long a worker lets running requests continue after SIGTERM.
        """
        self._count = count
        self._address = (host, port)
        self._stop_within_s = drain_s + CLOSE_WITHIN_S
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep the workers running until SIGTERM or SIGINT, then stop them.

        Raises:
            SystemExit: the port is not available, or workers end repeatedly.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._signal_all(signal.SIGHUP))
        with _reserved(*self._address), _lifeline() as pipe, _shared_segments(self._count) as descriptors:
            environment = {PIPE_VARIABLE: str(pipe), SEGMENTS_VARIABLE: ",".join(map(str, descriptors))}
            files = [pipe, *descriptors]
            keepers = [
                asyncio.create_task(
                    self._keep(CounterSegment.shared(descriptor), environment | {NUMBER_VARIABLE: str(number)}, files)
                )
                for number, descriptor in enumerate(descriptors)
            ]
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
            has_failed = not self._stopping.is_set()
            self._stopping.set()
            stopping.cancel()
            await self._end_all()
            await asyncio.gather(*keepers)
        if has_failed:
            sys.exit("edge: the workers end repeatedly; see their log")

    async def _keep(self, segment: CounterSegment, environment: Mapping[str, str], files: Sequence[int]) -> None:
        """Keep one worker running. Return if all workers stop, or if this one ends repeatedly."""
        failures = 0
        while not self._stopping.is_set():
            started_s = asyncio.get_running_loop().time()
            status = await self._run_one(segment, environment, files)
            if self._stopping.is_set():
                return
            lived_s = asyncio.get_running_loop().time() - started_s
            failures = 0 if lived_s > WORKED_S else failures + 1
            log.error("a worker ended with status %d after %.0f s", status, lived_s)
            if failures >= MAX_FAILURES:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(RESTART_DELAY_S):
                    await self._stopping.wait()

    async def _run_one(self, segment: CounterSegment, environment: Mapping[str, str], files: Sequence[int]) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tollgate_edge.main", env=os.environ | environment, pass_fds=files
        )
        self._running.add(process)
        if self._stopping.is_set():
            # It started after the signal was sent to the others.
            process.terminate()
        watching = asyncio.create_task(self._kill_if_silent(process, segment))
        try:
            return await process.wait()
        finally:
            watching.cancel()
            self._running.discard(process)
            segment.slots[PID] = 0

    async def _kill_if_silent(self, process: asyncio.subprocess.Process, segment: CounterSegment) -> None:
        silent, last = 0, 0
        while silent < MAX_SILENT:
            await asyncio.sleep(WATCH_S)
            beat = segment.slots[BEAT_MS]
            silent = silent + 1 if segment.slots[PID] and beat == last else 0
            last = beat
        log.error("killed a worker that sent no heartbeat for %.0f s", MAX_SILENT * WATCH_S)
        with suppress(ProcessLookupError):
            process.kill()

    async def _end_all(self) -> None:
        self._signal_all(signal.SIGTERM)
        ending = [asyncio.create_task(process.wait()) for process in self._running]
        if ending:
            _, late = await asyncio.wait(ending, timeout=self._stop_within_s)
            if late:
                log.error("killed %d workers that did not stop within %.0f s", len(late), self._stop_within_s)
                self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                process.send_signal(number)


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket to a port that workers share."""
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    own = socket.socket(address[0], socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        own.bind(address[4])
    except OSError:
        own.close()
        raise
    return own


@contextmanager
def _reserved(host: str, port: int) -> Iterator[None]:
    """Bind the port without listening. A port in use is reported once, at the start, and the port stays reserved."""
    try:
        held = listen(host, port)
    except OSError as error:
        sys.exit(f"edge: cannot listen on {host}:{port}: {error.strerror}")
    with held:
        yield


@contextmanager
def _shared_segments(count: int) -> Iterator[list[int]]:
    """Yield the file descriptors of new segments."""
    descriptors = [CounterSegment.share() for _ in range(count)]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextmanager
def _lifeline() -> Iterator[int]:
    """Yield the read end of a pipe whose write end closes when this process ends."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)
