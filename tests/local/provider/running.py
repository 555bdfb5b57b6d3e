"""The simulated provider as a process of its own, and the raw bytes that it sends."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

READ_SECONDS = 20.0
USER = {"role": "user", "content": "What flows past the harbor?"}


@dataclass(frozen=True)
class RunningProvider:
    """A provider at work; its counters count from `baseline`, so that tests can share a process."""

    port: int
    process: subprocess.Popen[str]
    baseline: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stats(self) -> dict[str, int]:
        answer = httpx.get(f"{self.url}/simulator/stats", trust_env=False)
        return {name: count - self.baseline.get(name, 0) for name, count in answer.json().items()}

    def wait_for_stats(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """The counters once they meet `condition`; fails with the last ones after a bounded wait."""
        deadline = time.monotonic() + READ_SECONDS
        while not condition(stats := self.stats()):
            assert time.monotonic() < deadline, stats
            time.sleep(0.02)
        return stats

    def connect(self, simulate: str = "", **fields: Any) -> socket.socket:
        """A connection on which a chat completion was asked for, and nothing was read."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=READ_SECONDS)
        connection.sendall(chat_request(simulate, **fields))
        return connection

    def raw(self, simulate: str = "", **fields: Any) -> bytes:
        """Every byte of the answer until the provider closes the connection, which it must do by itself."""
        with self.connect(simulate, **fields) as connection:
            return read_to_end(connection)


def chat_request(simulate: str = "", **fields: Any) -> bytes:
    body = {"model": "gpt-4o-mini", "messages": [USER], **fields}
    if simulate:
        body["metadata"] = {"simulate": simulate}
    payload = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: provider\r\nContent-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


def read_to_end(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def read_until(connection: socket.socket, mark: bytes, times: int = 1) -> bytes:
    """What arrived up to the read that brought `mark` for the last of so many times."""
    read = b""
    while read.count(mark) < times:
        part = connection.recv(65_536)
        assert part, read
        read += part
    return read


@contextmanager
def running_provider(**settings: str) -> Iterator[RunningProvider]:
    """A provider on a free port, with `settings` for its environment (`api_key`, `journal`)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    environment |= {f"TOLLGATE_PROVIDER_{name.upper()}": value for name, value in {"port": "0", **settings}.items()}
    command = [sys.executable, "-m", "tollgate_local.provider"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "listening on" in line, line
            yield RunningProvider(int(line.rsplit(":", 1)[1]), process)
        finally:
            process.terminate()
            process.wait(READ_SECONDS)
