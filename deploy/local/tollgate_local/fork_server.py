"""A warm interpreter that forks services, so that each starts without importing everything anew.

A cold service spends two to three CPU seconds on imports, and a whole system has thirteen of them: services,
migrations, commands. The server imports the libraries that they share, none of the services, and forks a child for
each request. The child runs the module as `python -m` would. Used by `make up` and the tests only; a deployment starts
each service by itself.

It is safe to fork because the server has one thread, opens nothing and draws no random numbers: it refuses to serve
otherwise. Run as `python -m tollgate_local.fork_server FD`, where FD is a SOCK_SEQPACKET socket. A request is JSON with
the file descriptor of the log; responses are `{"pid"}` to a request, and `{"pid", "status"}` when a child has ended.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple

MAX_REQUEST_BYTES = 1 << 17
# What services import, and takes long. A name that is not there is left out: not every environment has all.
LIBRARIES = (
    "aiokafka.admin",
    "aiosmtplib",
    "anyio",
    "bpe_openai",
    "clickhouse_connect.driver.asyncclient",
    "cryptography.hazmat.primitives.serialization",
    "fastapi.applications",
    "faststream.kafka",
    "genai_prices",
    "httptools",
    "httpx",
    "jwt",
    "msgspec",
    "multipart",
    "numpy",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "pyarrow.compute",
    "tollgate_common.events",
    "pydantic_settings",
    "pyreqwest.client",
    "python_multipart",
    "starlette.applications",
    "stripe",
    "uvicorn",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "yaml",
)


class Request(NamedTuple):
    module: str
    arguments: list[str]
    environment: dict[str, str]


def main() -> Request | None:
    """Serve until the launcher closes its end. Returns in each child, with what it is to run."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        raise SystemExit(f"the fork server has {threads} threads after its imports, so it cannot fork safely")
    gc.collect()
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Each child restores what is usual.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        readable, _, _ = select.select([channel.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _report_ended(channel)
        if channel.fileno() in readable:
            message, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, 1)
            if not message:
                return None
            request, [log] = Request(**json.loads(message)), descriptors
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                os.close(woken)
                os.close(wake)
                channel.close()
                _become(request, log)
                return request
            os.close(log)
            channel.send(json.dumps({"pid": pid}).encode())


def _report_ended(channel: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            channel.send(json.dumps({"pid": pid, "status": os.waitstatus_to_exitcode(status)}).encode())


def _become(request: Request, log: int) -> None:
    os.setsid()
    os.chdir("/")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    _name_process(request.module.removeprefix("tollgate_").removesuffix(".main"))
    sys.argv = [request.module, *request.arguments]


def _name_process(name: str) -> None:
    """What `ps` and `top` show, since the command line stays the fork server's. Linux only."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15])


if __name__ == "__main__":
    # The child returns from here, so that the module runs and ends as in a process of its own.
    asked = main()
    if asked is not None:
        runpy.run_module(asked.module, run_name="__main__", alter_sys=True)
