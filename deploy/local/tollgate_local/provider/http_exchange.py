"""One HTTP request and its response over ASGI, with access to the connection, which simulated failures close."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from tollgate_local.provider.errors import ApiError, ClientGoneError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = b"application/json"
EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"
# The ASGI extension that carries the connection: see `server.DroppableProtocol`.
CONNECTION_EXTENSION: Final = "tollgate.connection"
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
# The time that a closing connection has to send its buffer before it is aborted.
_CLOSE_SECONDS: Final = 5.0


class HttpExchange:
    """Reads the body and writes one response. Every method raises `ClientGoneError` if the client is gone."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._transport: asyncio.Transport = scope["extensions"][CONNECTION_EXTENSION]["transport"]
        self._receive = receive
        self._send = send
        self._body: bytes | None = None

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self._headers if key == name), b"")

    async def body(self) -> bytes:
        if self._body is None:
            self._body = await self._read_body()
        return self._body

    async def _read_body(self) -> bytes:
        parts: list[bytes] = []
        total, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message["body"])
            more = message["more_body"]
            total += len(parts[-1])
            if total > _MAX_BODY_BYTES:
                raise ApiError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body exceeds the limit of {_MAX_BODY_BYTES} bytes."
                )
        return b"".join(parts)

    async def answer(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        await self.start(status, content_type, (*headers, (b"content-length", b"%d" % len(body))))
        await self.end(body)

    async def start(self, status: int, content_type: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        request_id = b"req_" + uuid4().hex.encode()
        common = [(b"content-type", content_type), (b"x-request-id", request_id), *headers]
        await self._send({"type": "http.response.start", "status": status, "headers": common})

    async def write(self, data: bytes) -> None:
        self.require_client()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        self.require_client()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def require_client(self) -> None:
        if self._transport.is_closing():
            raise ClientGoneError

    async def wait(self, seconds: float) -> None:
        """Wait; raise `ClientGoneError` as soon as the client disconnects."""
        if seconds <= 0:
            await asyncio.sleep(0)
            self.require_client()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._disconnected()
        except TimeoutError:
            return
        raise ClientGoneError

    async def drop(self) -> None:
        """Send the buffer, close the connection and return when it is closed."""
        self._transport.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._disconnected()
        except TimeoutError:
            self._transport.abort()
            await self._disconnected()

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
