"""Content codings of request and response bodies: lz4 frames, zstd, gzip and deflate."""

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import lz4.frame
import zstandard

from tollgate_local.clickhouse_server.errors import CANNOT_DECOMPRESS, UNKNOWN_COMPRESSION_METHOD, ClickHouseError

# `zlib` window sizes: 15 + 32 tells gzip from deflate by itself, 15 + 16 writes gzip.
_READ_GZIP_OR_DEFLATE_BITS = 47
_WRITE_GZIP_BITS = 31
_FAST_DEFLATE_LEVEL = 3


class Decoder:
    """Undoes one coding, chunk by chunk. A body may be several frames in a row: clients compress block by block."""

    def __init__(self, new_frame: Callable[[], Any] | None) -> None:
        self._new_frame = new_frame
        self._frame: Any = None

    def decode(self, data: bytes) -> bytes:
        if self._new_frame is None:
            return data
        parts = []
        while data:
            if self._frame is None or self._frame.eof:
                self._frame = self._new_frame()
            try:
                parts.append(self._frame.decompress(data))
            except (RuntimeError, zlib.error, zstandard.ZstdError) as error:
                raise ClickHouseError.refused(
                    CANNOT_DECOMPRESS, f"Cannot decompress the request body: {error}"
                ) from error
            data = self._frame.unused_data or b""
        return b"".join(parts)

    def finish(self) -> None:
        """Raises ClickHouseError 271 when the last frame is cut short."""
        if self._frame is not None and not self._frame.eof:
            raise ClickHouseError.refused(CANNOT_DECOMPRESS, "The compressed request body ends inside a frame")


def decoder_for(content_encoding: str) -> Decoder:
    """Raises ClickHouseError 89 for a coding that is not known."""
    match content_encoding:
        case "" | "identity":
            return Decoder(None)
        case "lz4":
            return Decoder(lz4.frame.LZ4FrameDecompressor)
        case "zstd":
            return Decoder(lambda: zstandard.ZstdDecompressor().decompressobj())
        case "gzip" | "deflate":
            return Decoder(lambda: zlib.decompressobj(_READ_GZIP_OR_DEFLATE_BITS))
    reason = f"Unknown Content-Encoding {content_encoding!r}: it may be lz4, zstd, gzip or deflate"
    raise ClickHouseError.refused(UNKNOWN_COMPRESSION_METHOD, reason)


class Encoder(Protocol):
    """One response body's coding; used by one thread at a time."""

    name: str

    def encode(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Identity:
    name = "identity"

    def encode(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Lz4:
    name = "lz4"

    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def encode(self, data: bytes) -> bytes:
        return self._header() + bytes(self._frame.compress(data))

    def finish(self) -> bytes:
        return self._header() + bytes(self._frame.flush())

    def _header(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return bytes(self._frame.begin())


class _Stream:
    """zstd, gzip and deflate share one interface."""

    def __init__(self, name: str, stream: Any) -> None:
        self.name = name
        self._stream = stream

    def encode(self, data: bytes) -> bytes:
        return bytes(self._stream.compress(data))

    def finish(self) -> bytes:
        return bytes(self._stream.flush())


def encoder_for(accept_encoding: str) -> Encoder:
    """The fastest coding that the client accepts; none when it accepts none of ours."""
    accepted = {part.split(";")[0].strip() for part in accept_encoding.lower().split(",")}
    if "lz4" in accepted:
        return _Lz4()
    if "zstd" in accepted:
        return _Stream("zstd", zstandard.ZstdCompressor(level=1).compressobj())
    if "gzip" in accepted:
        return _Stream("gzip", zlib.compressobj(_FAST_DEFLATE_LEVEL, zlib.DEFLATED, _WRITE_GZIP_BITS))
    if "deflate" in accepted:
        return _Stream("deflate", zlib.compressobj(_FAST_DEFLATE_LEVEL))
    return _Identity()
