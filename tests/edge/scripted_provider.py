"""A provider that answers as a script says, byte for byte, on a loopback port of this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Script:
    """One response. `pieces` are sent one after the other, each in a chunk of its own, with `pause_s` before each."""

    pieces: Sequence[bytes]
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    content_type: str = "text/event-stream"
    pause_s: float = 0.0


@dataclass
class ScriptedServer:
    """`requests` are the heads of the requests that came, `bodies` their bodies. The last script is repeated."""

    url: str
    scripts: list[Script]
    requests: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    closed_early: int = 0

    @property
    def paths(self) -> list[str]:
        """The paths of the requests that came, as they were sent."""
        return [head.split(b" ", 2)[1].decode() for head in self.requests]

    def headers(self, number: int) -> dict[str, str]:
        """Return the headers of a request by its number, starting at 0. Their names are in lower case."""
        lines = self.requests[number].decode().split("\r\n")[1:-2]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.bodies.append(await reader.readexactly(_content_length(head)))
            self.requests.append(head)
            await self._respond(writer, self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0])
        except ConnectionError:
            self.closed_early += 1
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _respond(self, writer: asyncio.StreamWriter, script: Script) -> None:
        # A connection that stays in an edge's pool would outlive the server.
        headers = [
            ("content-type", script.content_type),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            *script.headers,
        ]
        lines = [f"HTTP/1.1 {script.status} Scripted", *(f"{name}: {value}" for name, value in headers), "", ""]
        writer.write("\r\n".join(lines).encode())
        for piece in script.pieces:
            await asyncio.sleep(script.pause_s)
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def _content_length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))


@asynccontextmanager
async def scripted_provider(*scripts: Script, port: int = 0) -> AsyncIterator[ScriptedServer]:
    """Serve the scripts on a port; 0 is any free one."""
    provider = ScriptedServer("", list(scripts))
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await provider.serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
