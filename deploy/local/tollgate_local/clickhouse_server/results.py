"""A read's result as the bytes of its answer, whole or piece by piece. Everything here runs in a worker thread."""

from collections.abc import Callable, Generator
from typing import NamedTuple

from tollgate_local.clickhouse_server import native
from tollgate_local.clickhouse_server.compression import Encoder
from tollgate_local.clickhouse_server.engine import Handle, Result, Stream, labelled
from tollgate_local.clickhouse_server.errors import ClickHouseError
from tollgate_local.clickhouse_server.request import Request
from tollgate_local.clickhouse_server.statement import Kind, Statement

# Formats without a header or a footer, so that blocks written one by one make one whole.
_STREAMABLE = {"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow", "JSONCompactEachRow"}


_PIECE_BYTES = 1_048_576


class Piece(NamedTuple):
    body: bytes
    is_last: bool


class Read:
    """One read, bound to the handle it runs on and the coding its answer is sent in."""

    def __init__(self, handle: Handle, request: Request, statement: Statement, encoder: Encoder) -> None:
        self._handle = handle
        self._request = request
        self._statement = statement
        self._encoder = encoder
        self._format = statement.format or request.default_format
        self._sql = labelled(request.query_id, statement.text)

    @property
    def can_stream(self) -> bool:
        streams = self._statement.kind is Kind.SELECT and self._format in _STREAMABLE
        return streams and not self._request.waits_for_end

    def whole(self) -> Result:
        """Raises ClickHouseError."""
        result = self._handle.query(self._sql, self._format, self._request.bound)
        body = result.body or self._empty()
        return result._replace(body=self._encoder.encode(body) + self._encoder.finish())

    def pieces(self, exception_tag: str, explain: Callable[[ClickHouseError], bytes]) -> Generator[Piece, None, None]:
        """The body in pieces of about a mebibyte, as a server buffers it. Closing the generator ends the query.

        Raises ClickHouseError only before the first piece, while the answer can still carry a status. Later an error is
        part of the body, and clients know it by the tag.
        """
        stream = self._handle.stream(self._sql, self._format, self._request.bound)
        gathered, is_empty, is_begun = bytearray(), True, False
        try:
            while (block := _next_block(stream, is_begun)) is not None:
                if isinstance(block, ClickHouseError):
                    gathered += self._encoder.encode(_exception_block(exception_tag, explain(block)))
                    break
                is_empty = False
                gathered += self._encoder.encode(block)
                if len(gathered) >= _PIECE_BYTES:
                    is_begun = True
                    yield Piece(bytes(gathered), is_last=False)
                    gathered.clear()
        finally:
            # The handle answers nothing else while its stream is open.
            stream.close()
        if is_empty:
            gathered += self._encoder.encode(self._empty())
        yield Piece(bytes(gathered) + self._encoder.finish(), is_last=True)

    def _empty(self) -> bytes:
        """What stands for a result without rows; the engine writes nothing, which only Native cannot do without."""
        return native.empty_result(self._handle, self._request, self._statement) if self._format == "Native" else b""


def _next_block(stream: Stream, is_begun: bool) -> bytes | ClickHouseError | None:
    try:
        return stream.next_block()
    except ClickHouseError as error:
        if not is_begun:
            raise
        return error


def _exception_block(tag: str, text: bytes) -> bytes:
    """An error in mid-stream, between markers that carry the tag told in the headers, with the length of its text."""
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
