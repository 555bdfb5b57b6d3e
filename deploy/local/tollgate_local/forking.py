"""The launcher's side of the fork server: start a module as a forked process, and learn of its end."""

import asyncio
import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import BinaryIO

from tollgate_local.errors import LocalError
from tollgate_local.fork_server import MAX_REQUEST_BYTES


class ForkedProcess:
    """As much of `asyncio.subprocess.Process` as the launcher uses. It belongs to no event loop."""

    def __init__(self, pid: int, ended: "Future[int]") -> None:
        self.pid = pid
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        # Shielded: a waiter that is canceled must not cancel it for the others.
        return await asyncio.shield(asyncio.wrap_future(self._ended))


class ForkServer:
    """A warm interpreter of the launcher's own, which ends with it."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # A process that forks must have one thread: BLAS starts some, and so does Arrow's jemalloc.
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tollgate_local.fork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"},
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self._started: Future[ForkedProcess] = Future()
        self._ended: dict[int, Future[int]] = {}
        threading.Thread(target=self._read, name="fork server", daemon=True).start()
        atexit.register(self.close)

    def close(self) -> None:
        """End the fork server. What it has forked goes on."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._server.wait()

    def start(self, argv: Sequence[str], env: Mapping[str, str], log: BinaryIO) -> ForkedProcess:
        """Fork a child that runs `python -m MODULE ARGUMENTS`; its output goes to the log.

        Raises:
            LocalError: the fork server has ended.
        """
        _, _, module, *arguments = argv
        message = json.dumps({"module": module, "arguments": arguments, "environment": dict(env)}).encode()
        assert len(message) < MAX_REQUEST_BYTES
        with self._lock:
            self._started = Future()
            try:
                socket.send_fds(self._channel, [message], [log.fileno()])
            except OSError as error:
                raise LocalError(f"the fork server has ended: {error}") from error
            return self._started.result()

    def _read(self) -> None:
        with suppress(ConnectionResetError):
            while message := self._channel.recv(MAX_REQUEST_BYTES):
                told = json.loads(message)
                pid = told["pid"]
                if "status" in told:
                    self._ended.pop(pid).set_result(told["status"])
                else:
                    self._ended[pid] = Future()
                    self._started.set_result(ForkedProcess(pid, self._ended[pid]))
        # So that a start from now on fails at once instead of waiting for a response.
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        failure = LocalError(f"the fork server ended with exit code {self._server.wait()}")
        if not self._started.done():
            self._started.set_exception(failure)
        for ended in self._ended.values():
            ended.set_exception(failure)


@cache
def fork_server() -> ForkServer:
    """The one of this launcher, started at the first call. Its imports run beside whatever the launcher does next."""
    return ForkServer()
