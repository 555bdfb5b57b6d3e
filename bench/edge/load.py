"""Load generators: wrk for requests, and a client of streams that counts events."""

import asyncio
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.edge.gateways import Gateway

LUA = Path(__file__).with_name("load.lua")
QUESTION: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "max_tokens": 64,
    "messages": [
        {"role": "system", "content": "You are a harbor pilot who answers in one sentence."},
        {"role": "user", "content": "What flows past the harbor, and how does it look on a grey day in November?"},
    ],
}


def question(*, stream: bool = False, user: str = "bench") -> bytes:
    """Return a request body that the instant provider understands; see provider.c."""
    body = QUESTION | {"user": user} | ({"stream": True} if stream else {})
    return json.dumps(body, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Measured:
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_us: float
    """Return the CPU time of the gateway's processes for each request."""

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def per_s_and_core(self) -> float:
        return 1e6 / self.cpu_us if self.cpu_us else 0.0


def run_wrk(gateway: Gateway, body: bytes, *, connections: int, seconds: float, pause_ms: int = 0) -> Measured:
    """Run a closed loop: each connection sends a request, reads the whole response, pauses and repeats."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        headers = [text for pair in gateway.headers.items() for text in pair]
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds:.0f}s",
            "--timeout",
            "20s",
            "-s",
            str(LUA),
            gateway.url,
        ]
        command += ["--", file.name, str(pause_ms), *headers]
        before_s = gateway.cpu_s()
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        cpu_s = gateway.cpu_s() - before_s
    found = json.loads(ran.stdout.rsplit("RESULT ", 1)[1])
    return Measured(
        found["requests"],
        found["duration_us"] / 1e6,
        found["p50_us"] / 1000,
        found["p99_us"] / 1000,
        found["failed"],
        cpu_s * 1e6 / max(1, found["requests"]),
    )


async def read_streams(gateway: Gateway, user: str, number: int, *, within_s: float = 0.0) -> int:
    """Read a number of streams to their ends, started evenly within a time. Return the number of events.

    Streams that start at the same time get their chunks at the same time, which costs a gateway far less than streams
    of independent clients.
    """

    async def read(place: int) -> int:
        await asyncio.sleep(within_s * place / number)
        return await _read_stream(gateway, user, asyncio.Event())

    return sum(await asyncio.gather(*map(read, range(number))))


class OpenStreams:
    """Streams that stay open."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        self._gateway = gateway
        self._number = number
        self._tasks: list[asyncio.Task[int]] = []

    async def __aenter__(self) -> None:
        begun = []
        for _ in range(self._number):
            has_begun = asyncio.Event()
            self._tasks.append(asyncio.create_task(_read_stream(self._gateway, "hold", has_begun)))
            begun.append(has_begun)
            if len(begun) % 50 == 0:
                await asyncio.gather(*(event.wait() for event in begun))
        async with asyncio.timeout(120):
            await asyncio.gather(*(event.wait() for event in begun))

    async def __aexit__(self, *_: object) -> None:
        ended = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not ended, f"{len(ended)} streams ended before they were counted"


async def _read_stream(gateway: Gateway, user: str, has_begun: asyncio.Event) -> int:
    url, body = urlsplit(gateway.url), question(stream=True, user=user)
    head = [f"POST {url.path} HTTP/1.1", f"host: {url.netloc}", "content-type: application/json", "connection: close"]
    head += [f"{name}: {value}" for name, value in gateway.headers.items()]
    head += [f"content-length: {len(body)}", "", ""]
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write("\r\n".join(head).encode() + body)
        events, answer = 0, b""
        while part := await reader.read(65_536):
            answer = (answer + part)[:1000]
            found = part.count(b"chat.completion.chunk")
            if found:
                has_begun.set()
            events += found
        assert events, f"no stream began, but: {answer.decode()}"
        return events
    finally:
        writer.close()
