"""One HTTP request and its response over ASGI. The hot path uses no other web framework."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from types import TracebackType
from typing import Any

from tollgate_common.clock import utc_now
from tollgate_common.ids import new_id
from tollgate_edge.http.errors import OPENAI_ERROR_FORMAT, ApiError, ClientGone, Header, body_encoded, body_too_large

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
_PLAIN = (b"", b"identity")
ANTHROPICS_PATHS = "/v1/messages"
CLIENT_LEFT = 499
# Any page may read a response and all its headers. `*` means all headers, because requests have no credentials.
ANY_PAGE: tuple[Header, ...] = ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*"))
EVENT_STREAM = b"text/event-stream; charset=utf-8"


class RequestContext:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request_id = new_id()
        self.arrived_at = utc_now()
        self.scope = scope
        self.path: str = scope["path"]
        self.headers = _by_name(scope["headers"])
        # Called when the response starts, for the headers about the caller's limits.
        self.extra_headers: Callable[[], Sequence[Header]] = tuple
        # The body that was sent to the client, if it is captured.
        self.captured_body: list[bytes] | None = None
        self.content_type = b""
        self.error_format = OPENAI_ERROR_FORMAT
        self.started = False
        # Until the response starts: 499, by which other proxies log that the client has left.
        self.status = CLIENT_LEFT
        self.first_byte_ms: int | None = None
        self._arrived = time.perf_counter()
        self._receive = receive
        self._send = send

    def elapsed_ms(self) -> int:
        """Return the whole milliseconds since the request arrived."""
        return int((time.perf_counter() - self._arrived) * 1000)

    async def body(self, limit_bytes: int) -> bytes:
        """Read the whole body.

        Raises:
            ApiError: 413 if it is larger than `limit_bytes`; 415 if it is compressed.
            ClientGone: the client left before the end of the body.
        """
        encoding = self.headers.get(b"content-encoding", b"")
        if encoding.lower() not in _PLAIN:
            raise body_encoded(encoding)
        if int(self.headers.get(b"content-length", b"0")) > limit_bytes:
            raise body_too_large(limit_bytes)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message["body"])
            size += len(parts[-1])
            if size > limit_bytes:
                raise body_too_large(limit_bytes)
            more = message["more_body"]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def has_client_left(self) -> bool:
        """Whether the client has left. Call it only after the body has been read, and without a running `ClientWatch`.

        It needs no task: it starts the server's receive coroutine, which completes at once if the client has left.
        """
        receiving = self._receive()
        try:
            receiving.send(None)
        except StopIteration as received:
            message: Message = received.value
            return bool(message["type"] == "http.disconnect")
        receiving.close()
        return False

    def watch_client(self) -> "ClientWatch":
        """Start to watch whether the client leaves. Call it only after the body has been read, because both receive."""
        return ClientWatch(self._receive)

    async def start(self, status: int, content_type: bytes, headers: Sequence[Header] = ()) -> None:
        self.started = True
        self.status = status
        self.content_type = content_type
        self.first_byte_ms = self.elapsed_ms()
        common = [
            (b"content-type", content_type),
            *request_headers(self.path, self.request_id, self.first_byte_ms),
            *ANY_PAGE,
            *self.extra_headers(),
            *headers,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": common})

    async def write(self, data: bytes) -> None:
        if self.captured_body is not None:
            self.captured_body.append(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: Sequence[Header] = ()
    ) -> None:
        await self.start(status, content_type, (*headers, (b"content-length", b"%d" % len(body))))
        await self.end(body)

    async def fail(self, error: ApiError) -> None:
        """Send an error response. In a stream that has started, send the error as its last event."""
        if not self.started:
            await self.answer(error.status, self.error_format.body(error), headers=error.headers)
        elif self.error_format.event is not None:
            await self.end(self.error_event(error))
        # Otherwise the server closes the connection, because the body has no end.

    def error_event(self, error: ApiError) -> bytes:
        """Render an error as the last event of a stream, if its API has such an event."""
        return self.error_format.event(error) if self.error_format.event is not None else b""


def _by_name(lines: Sequence[Header]) -> dict[bytes, bytes]:
    """Return the headers by name. Several lines of one name form a list (RFC 9110, section 5.3)."""
    headers = dict(lines)
    if len(headers) < len(lines):
        headers = {name: b", ".join(value for other, value in lines if other == name) for name in headers}
    return headers


def request_headers(path: str, request_id: str, elapsed_ms: int) -> tuple[Header, ...]:
    """Return the headers of every response: those of OpenAI's API, and on Anthropic's paths also those of its API."""
    told = request_id.encode()
    headers = (b"x-request-id", told), (b"openai-processing-ms", b"%d" % elapsed_ms)
    return (*headers, (b"request-id", told)) if path.startswith(ANTHROPICS_PATHS) else headers


class ClientWatch:
    """Watches whether the client leaves. As a context manager, it then ends its block with `ClientGone`.

    It cancels the block from outside, as a timeout does. So it costs one task per request and nothing per chunk.
    """

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._guarded: asyncio.Task[Any] | None = None
        self._task = asyncio.create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._guarded is not None:
            self._guarded.cancel()

    def stop(self) -> None:
        self._task.cancel()

    def __enter__(self) -> None:
        if self.gone:
            raise ClientGone
        self._guarded = asyncio.current_task()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        guarded, self._guarded = self._guarded, None
        assert guarded is not None
        # Any other cancellation, such as that of a shutdown, is passed on.
        if self.gone and guarded.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientGone from error
