"""Several worker processes on one port, and who watches over them.

Each worker is a whole edge: a boot id, a spool file and leases of its own, a listening socket of its own on the shared
port (SO_REUSEPORT), so that the system spreads connections over them. A worker listens once it can serve. One that dies
is started anew; its events are in its spool, which another one adopts, and its leases are fenced. One whose event loop
stands still is killed: nobody's probe is sure to meet it. Ends the supervisor, by whatever, its workers notice that
their pipe to it is closed, and end in good order.

What a worker counts it writes on its sheet, of which the supervisor has the memory and every worker a view.
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

# In a worker's environment: the pipe that is open for as long as its supervisor lives; the sheets of all workers, as
# open files, separated by commas; and which of them is its own, from 0.
PIPE_VARIABLE = "TOLLGATE_WORKER_PIPE"
SHEETS_VARIABLE = "TOLLGATE_WORKER_SHEETS"
NUMBER_VARIABLE = "TOLLGATE_WORKER_NUMBER"
RESTART_DELAY_S = 1.0
# One that ends sooner has not really worked, and after so many in a row none will.
WORKED_S = 20.0
MAX_FAILURES = 5
# After the requests have drained, events and leases must become durable: the bounds of those together.
CLOSE_WITHIN_S = 30.0
WATCH_S = 1.0
# So often in a row a worker may have told nothing of itself. They are counted, and time is not: a machine that stands
# still, or a supervisor, has not seen its workers stand still.
MAX_SILENT = 30


def is_worker() -> bool:
    return PIPE_VARIABLE in os.environ


def end_with_supervisor() -> None:
    """Have this worker ask itself to stop as soon as its supervisor is gone. Call it in the running loop."""
    pipe = int(os.environ[PIPE_VARIABLE])
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(pipe)
        log.warning("the supervisor is gone: stopping")
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(pipe, stop)


def worker_sheets() -> tuple[list[CounterSegment], CounterSegment]:
    """Of a worker: all sheets, and its own. Once: the files are closed."""
    sheets = []
    for descriptor in map(int, os.environ[SHEETS_VARIABLE].split(",")):
        sheets.append(CounterSegment.shared(descriptor))
        os.close(descriptor)
    return sheets, sheets[int(os.environ[NUMBER_VARIABLE])]


class Supervisor:
    def __init__(self, count: int, host: str, port: int, *, drain_s: float) -> None:
        """Build it; `run` starts the workers.

        Args:
            count: of workers.
            host: where they listen.
            port: the same for all.
            drain_s: how long a worker lets its requests go on after SIGTERM.
        """
        self._count = count
        self._address = (host, port)
        self._stop_within_s = drain_s + CLOSE_WITHIN_S
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep the workers running until SIGTERM or SIGINT, then let them end.

        Raises:
            SystemExit: no worker can start, or one had to be killed.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._signal_all(signal.SIGHUP))
        with _reserved(*self._address), _lifeline() as pipe, _shared_sheets(self._count) as descriptors:
            environment = {PIPE_VARIABLE: str(pipe), SHEETS_VARIABLE: ",".join(map(str, descriptors))}
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
            sys.exit("edge: the workers do not stay alive; their log tells why")

    async def _keep(self, sheet: CounterSegment, environment: Mapping[str, str], files: Sequence[int]) -> None:
        """Have one worker run, always. Returns when all are to stop, or when it cannot."""
        failures = 0
        while not self._stopping.is_set():
            started_s = asyncio.get_running_loop().time()
            status = await self._run_one(sheet, environment, files)
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

    async def _run_one(self, sheet: CounterSegment, environment: Mapping[str, str], files: Sequence[int]) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tollgate_edge.main", env=os.environ | environment, pass_fds=files
        )
        self._running.add(process)
        if self._stopping.is_set():
            # It came too late for the signal that all others got.
            process.terminate()
        watching = asyncio.create_task(self._kill_if_silent(process, sheet))
        try:
            return await process.wait()
        finally:
            watching.cancel()
            self._running.discard(process)
            sheet.cells[PID] = 0

    async def _kill_if_silent(self, process: asyncio.subprocess.Process, sheet: CounterSegment) -> None:
        silent, last = 0, 0
        while silent < MAX_SILENT:
            await asyncio.sleep(WATCH_S)
            beat = sheet.cells[BEAT_MS]
            silent = silent + 1 if sheet.cells[PID] and beat == last else 0
            last = beat
        log.error("a worker stands still: killed")
        with suppress(ProcessLookupError):
            process.kill()

    async def _end_all(self) -> None:
        self._signal_all(signal.SIGTERM)
        ending = [asyncio.create_task(process.wait()) for process in self._running]
        if ending:
            _, late = await asyncio.wait(ending, timeout=self._stop_within_s)
            if late:
                log.error("%d workers did not end in %.0f s: killed", len(late), self._stop_within_s)
                self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                process.send_signal(number)


def listen(host: str, port: int) -> socket.socket:
    """A socket on a port that other workers listen on too."""
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
    """Hold the port, without listening: that it is another's is told once and at once, and it stays ours."""
    try:
        held = listen(host, port)
    except OSError as error:
        sys.exit(f"edge: cannot listen on {host}:{port}: {error.strerror}")
    with held:
        yield


@contextmanager
def _shared_sheets(count: int) -> Iterator[list[int]]:
    """Memory for so many sheets, as open files."""
    descriptors = [CounterSegment.share() for _ in range(count)]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@contextmanager
def _lifeline() -> Iterator[int]:
    """The reading end of a pipe whose writing end lives exactly as long as this process."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)
