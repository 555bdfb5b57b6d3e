"""One process abstraction for engines and services: start, wait until ready, notice the end, stop."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tollgate_local import reaper
from tollgate_local.errors import LocalError, ProcessError
from tollgate_local.forking import ForkedProcess, fork_server
from tollgate_local.users import as_user

# Gets a line that a person can read.
Tell = Callable[[str], None]

READY_POLL_S = 0.1
LAST_LINES = 15
# Enough for the last lines of any log, little enough to read at once.
LAST_BYTES = 16_384


@dataclass(frozen=True)
class ProcessSpec:
    """What to run and how to tell that it works."""

    name: str
    argv: tuple[str, ...]
    log_file: Path
    # True once it can work; False or an OSError while it cannot yet.
    is_ready: Callable[[], Awaitable[bool]]
    # Added to the launcher's own environment.
    env: Mapping[str, str] = field(default_factory=dict)
    # The system user to run as; None is the launcher's own.
    user: str | None = None
    # For `python -m MODULE ...` alone: fork it from a warm interpreter.
    is_forked: bool = False
    ready_within_s: float = 120
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10


class Reaper:
    """Our end of the pipe to the program in `reaper.py`; leave the block to say that all is stopped."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def watch(self, pid: int, stop_signal: signal.Signals, within_s: float) -> None:
        self._write(f"watch {pid} {int(stop_signal)} {within_s}\n")

    def forget(self, pid: int) -> None:
        self._write(f"forget {pid}\n")

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class ManagedProcess:
    """A child in a session of its own, so that Ctrl-C reaches the launcher alone and it can stop things in order."""

    def __init__(self, spec: ProcessSpec, reaper: Reaper) -> None:
        self.spec = spec
        self._reaper = reaper
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None
        self._log_start_bytes = 0
        self._started_at = 0.0

    @property
    def is_running(self) -> bool:
        return self.pid is not None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._started_at

    async def start(self) -> None:
        spec = self.spec
        spec.log_file.parent.mkdir(parents=True, exist_ok=True)
        with spec.log_file.open("ab") as log:
            self._log_start_bytes = log.tell()
            environment = {**os.environ, **spec.env}
            if spec.is_forked:
                self._process = await asyncio.to_thread(fork_server().start, spec.argv, environment, log)
            else:
                self._process = await asyncio.create_subprocess_exec(
                    *spec.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                    # A folder that every user may enter; the launcher's own may be closed to `spec.user`.
                    cwd="/",
                    **as_user(spec.user),
                )
        self._started_at = time.monotonic()
        self._reaper.watch(self._process.pid, spec.stop_signal, spec.stop_within_s)

    async def wait_ready(self) -> float:
        """Seconds from start to ready; ProcessError when it ended before, or took longer than it may."""
        while self.uptime_s < self.spec.ready_within_s:
            ready = await self._answers()
            # Asked after the check: a stranger on the same port must not answer for a part that has just died.
            if not self.is_running:
                raise self._failure(f"ended with {self._ending()} before it was ready")
            if ready:
                return self.uptime_s
            await asyncio.sleep(READY_POLL_S)
        raise self._failure(f"was not ready after {self.spec.ready_within_s:.0f} s")

    async def _answers(self) -> bool:
        remaining_s = self.spec.ready_within_s - self.uptime_s
        try:
            async with asyncio.timeout(max(remaining_s, READY_POLL_S)):
                return await self.spec.is_ready()
        except OSError:  # TimeoutError is one too
            return False

    async def wait_end(self) -> ProcessError:
        """Returns, with what to tell about it, when the process has ended."""
        assert self._process is not None
        await self._process.wait()
        self._reaper.forget(self._process.pid)
        return self._failure(f"ended with {self._ending()}")

    async def stop(self) -> None:
        """Asks it to end; after `stop_within_s` kills it and everything it started."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            send(process, self.spec.stop_signal)
            try:
                async with asyncio.timeout(self.spec.stop_within_s):
                    await process.wait()
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self._reaper.forget(process.pid)

    def last_lines(self) -> str:
        """The end of what this run of the process logged."""
        with self.spec.log_file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start_bytes, size - LAST_BYTES))
            return last_lines(log.read())

    def _ending(self) -> str:
        assert self._process is not None
        code = self._process.returncode
        return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"

    def _failure(self, what: str) -> ProcessError:
        return ProcessError(f"{self.spec.name} {what}; the end of {self.spec.log_file}:\n{self.last_lines()}")


async def run_to_end(what: str, argv: Sequence[str], env: Mapping[str, str], user: str | None = None) -> None:
    """Run a command that ends by itself.

    Raises:
        LocalError: it failed; has `what` and the command's last lines.
    """
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
            cwd="/",
            **as_user(user),
        )
        await _end(what, process, log)


async def run_forked(what: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Run `python -m MODULE ...` as `run_to_end` does, forked from a warm interpreter."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.to_thread(fork_server().start, argv, {**os.environ, **env}, log)
        await _end(what, process, log)


async def _end(what: str, process: asyncio.subprocess.Process | ForkedProcess, log: BinaryIO) -> None:
    try:
        await process.wait()
    except asyncio.CancelledError:
        send(process, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode != 0:
        log.seek(0)
        raise LocalError(f"{what} failed with exit code {process.returncode}\n{last_lines(log.read())}")


def send(process: asyncio.subprocess.Process | ForkedProcess, number: signal.Signals) -> None:
    # Not by the process' own method: that looks first whether it has ended, and so takes its exit code from asyncio.
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


def last_lines(log: bytes) -> str:
    return "\n".join(f"    {line}" for line in log.decode(errors="replace").splitlines()[-LAST_LINES:])
