"""The spool: events that Kafka has not acknowledged, in a file that outlives the process.

One append-only file a boot, `<boot_id>.spool`, locked by the process that owns it for as long as it lives; a file that
nobody locks is an orphan, and any edge may replay it. Each event is a frame: length and CRC-32 of the payload, four
bytes each, then the payload. What `append` returned from is on disk (fsync). A frame that is cut short or does not
match its checksum is the tail that was being written when the process died: nobody was told that it is safe. The file
is set aside then, for a person to look at.
"""

import asyncio
import fcntl
import logging
import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec
from prometheus_client import Gauge

from tollgate_common.errors import InconsistentState, TollgateError
from tollgate_common.topics import Topic

log = logging.getLogger(__name__)

BYTES_NAME = "tollgate_edge_spool_bytes"
BYTES_TEXT = "Bytes in open spools that Kafka has not acknowledged yet."
BYTES = Gauge(BYTES_NAME, BYTES_TEXT)

SUFFIX = ".spool"
TORN_SUFFIX = ".torn"
_HEADER = struct.Struct(">II")


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An encoded event and where it goes."""

    topic: Topic
    partition: int
    seq: int
    key: bytes
    value: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Entry)


class SpoolLocked(TollgateError):
    """Another process owns the file."""


class Spool:
    """One spool file, open and locked. It has one writer and one reader, who may work at the same time."""

    def __init__(self, path: Path, descriptor: int, *, is_orphan: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._is_orphan = is_orphan
        self._start = 0
        self._end = os.fstat(descriptor).st_size
        BYTES.inc(self._end)
        self._torn_bytes = 0
        self._is_appending = False
        # The end of each append that is not yet replayed, and when it was.
        self._appended: deque[tuple[int, float]] = deque()

    @classmethod
    def create(cls, folder: Path, boot_id: str) -> Self:
        """A new boot's spool; the folder is made if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{boot_id}{SUFFIX}"
        spool = cls(path, _open_locked(path, os.O_CREAT | os.O_EXCL), is_orphan=False)
        _sync_folder(folder)
        return spool

    @classmethod
    def adopt(cls, path: Path) -> Self:
        """Another boot's spool.

        Raises:
            SpoolLocked: its owner lives, or someone else has just adopted it.
        """
        return cls(path, _open_locked(path, 0), is_orphan=True)

    @property
    def size_bytes(self) -> int:
        """Bytes that have not been replayed."""
        return self._end - self._start

    def age_s(self) -> float:
        """Seconds since the oldest event of this process that has not been replayed was spooled; 0 if none is."""
        return time.monotonic() - self._appended[0][1] if self._appended else 0.0

    async def append(self, entries: Sequence[Entry]) -> None:
        """Write the events behind the others; they are on disk when this returns.

        Raises:
            OSError: they are not; to try again is safe.
        """
        self._is_appending = True
        try:
            await asyncio.to_thread(self._write, b"".join(map(_framed, entries)))
        finally:
            self._is_appending = False
        self._appended.append((self._end, time.monotonic()))

    def _write(self, data: bytes) -> None:
        # At the end of what is known to be whole: what a failed attempt left behind is written over.
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], self._end + written)
        os.fsync(self._descriptor)
        self._end += len(data)
        BYTES.inc(len(data))

    async def read(self, size_bytes: int) -> tuple[list[Entry], int]:
        """The oldest events that have not been replayed, at most `size_bytes` of them, and the offset behind them.

        Raises:
            InconsistentState: this process's own file does not hold what was written to it.
        """
        data = await asyncio.to_thread(os.pread, self._descriptor, min(size_bytes, self.size_bytes), self._start)
        entries, end = [], self._start
        for entry, size in _whole_frames(data):
            entries.append(entry)
            end += size
        if data and not entries:
            if not self._is_orphan:
                raise InconsistentState(f"{self._path}: no whole event at offset {self._start} of {self._end}")
            self._torn_bytes, self._end = self._end - self._start, self._start
            BYTES.dec(self._torn_bytes)
        return entries, end

    def replayed(self, end: int) -> None:
        """All before offset `end` is in Kafka."""
        BYTES.dec(end - self._start)
        self._start = end
        while self._appended and self._appended[0][0] <= end:
            self._appended.popleft()

    def clear_if_replayed(self) -> bool:
        """Empty the file if nothing in it is left to replay and nothing is being written.

        It never gives way to other tasks: between its True and the caller's next await nothing can be spooled.
        """
        if self._is_appending or self.size_bytes:
            return False
        os.ftruncate(self._descriptor, 0)
        self._start = self._end = 0
        return True

    def close(self) -> None:
        """Let go of the file, deleted if nothing is left in it; otherwise it is an orphan from now on."""
        if self._torn_bytes:
            log.warning("%s: set aside, with a torn tail of %d bytes", self._path, self._torn_bytes)
            self._path.rename(self._path.with_suffix(TORN_SUFFIX))
        elif not self.size_bytes:
            self._path.unlink()
        BYTES.dec(self.size_bytes)
        os.close(self._descriptor)


def adopt_orphans(folder: Path) -> Iterator[Spool]:
    """The spools in `folder` that no process owns, one after another; the caller closes each."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield Spool.adopt(path)
        except SpoolLocked:
            continue


def _open_locked(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except FileNotFoundError as error:
        raise SpoolLocked(f"{path} has just been replayed by another process") from error
    with ExitStack() as on_error:
        on_error.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpoolLocked(f"{path} is in use") from error
        # Whoever held the lock until now may have deleted the file: then this lock is on nothing that has a name.
        if os.fstat(descriptor).st_nlink == 0:
            raise SpoolLocked(f"{path} has just been replayed by another process")
        on_error.pop_all()
    return descriptor


def _sync_folder(folder: Path) -> None:
    """Without it, a power cut could take away the file's name although its content is on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _framed(entry: Entry) -> bytes:
    payload = _encode(entry)
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def _whole_frames(data: bytes) -> Iterator[tuple[Entry, int]]:
    """Each event and its frame's size, up to the first frame that is not whole."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        payload = data[at + _HEADER.size : at + _HEADER.size + length]
        # A file that grew without its content reads as zeros, and the checksum of nothing is zero.
        if not length or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        try:
            entry = _decoder.decode(payload)
        except msgspec.DecodeError:
            # Whole, but written by another version of this program.
            return
        yield entry, _HEADER.size + length
        at += _HEADER.size + length
