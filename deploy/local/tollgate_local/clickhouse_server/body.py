"""A request's body: decompressed as it arrives, whole or to a file; and its form fields, if it is a form."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from email.message import Message
from typing import IO, Any

from tollgate_local.clickhouse_server.compression import Decoder
from tollgate_local.clickhouse_server.errors import BAD_REQUEST_PARAMETER, ClickHouseError, ClientGone
from tollgate_local.clickhouse_server.request import Request

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# Pieces below this are not worth a change of thread, which costs some 50 microseconds.
_THREAD_WORTH_BYTES = 65_536
_PIECE_BYTES = 1_048_576


class Body:
    """Reads once, in order. Every method raises ClientGone when the connection ends before the body does."""

    def __init__(self, receive: Receive, decoder: Decoder) -> None:
        self._pieces = self._decoded(receive, decoder)

    async def read(self, enough_bytes: int | None = None) -> bytes:
        """At least `enough_bytes`, or all that is left."""
        parts, size = [], 0
        async for piece in self._pieces:
            parts.append(piece)
            size += len(piece)
            if enough_bytes is not None and size >= enough_bytes:
                break
        return b"".join(parts)

    async def copy_to(self, file: IO[bytes]) -> None:
        async for piece in self._pieces:
            await _in_thread_if_large(file.write, piece)

    @staticmethod
    async def _decoded(receive: Receive, decoder: Decoder) -> AsyncIterator[bytes]:
        gathered, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            gathered += message.get("body", b"")
            more = message.get("more_body", False)
            if len(gathered) >= _PIECE_BYTES or not more:
                yield await _in_thread_if_large(decoder.decode, bytes(gathered))
                gathered.clear()
        decoder.finish()


async def _in_thread_if_large(call: Callable[[bytes], Any], data: bytes) -> Any:
    return await asyncio.to_thread(call, data) if len(data) > _THREAD_WORTH_BYTES else call(data)


async def with_form(request: Request, body: Body) -> Request:
    """The request with the fields and files of its form, if it is one."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return request
    fields, files = {}, {}
    for part, content in _parts(content_type, await body.read()):
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise ClickHouseError.refused(BAD_REQUEST_PARAMETER, "A part of the form has no name")
        if part.get_filename() is None:
            fields[name] = content.decode(errors="surrogateescape")
        else:
            files[name] = content
    return request.with_form(fields, files)


def _parts(content_type: str, body: bytes) -> list[tuple[Message, bytes]]:
    """Headers and content of each part (RFC 7578). The content is taken as it is: it may be binary."""
    boundary = _headers(f"content-type: {content_type}").get_boundary()
    if boundary is None:
        raise ClickHouseError.refused(BAD_REQUEST_PARAMETER, "multipart/form-data without a boundary")
    delimiter = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?:\r\n|\Z)")
    # Before the first delimiter stands a preamble and behind the last an epilogue; both are to be ignored.
    parts = []
    for part in delimiter.split(body)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        parts.append((_headers(head.decode("latin-1")), content))
    return parts


def _headers(text: str) -> Message:
    message = Message()
    for line in text.split("\r\n"):
        name, _, value = line.partition(":")
        message[name.strip()] = value.strip()
    return message
