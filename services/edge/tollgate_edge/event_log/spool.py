"""The spool: a file of events that Kafka has not acknowledged. It outlives the process.

Each boot has one append-only file, `<boot_id>.spool`, which its process locks while it lives. A file without a lock is
an orphan, and any edge may replay it. Each event is a frame: length and CRC-32 of the payload, four bytes each, then
the payload. After `append` returns, its events are on disk (fsync). A frame that is incomplete or does not match its
checksum was being written when the process died, and was never reported as durable. Such a file is renamed and kept
for an operator.
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
    """An encoded event and its destination."""

    topic: Topic
    partition: int
    seq: int
    key: bytes
    value: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Entry)


class SpoolLocked(TollgateError):
    """Another process holds the lock of the file."""


class Spool:
    """An open and locked spool file. It has one writer and one reader, which may run at the same time."""

    def __init__(self, path: Path, descriptor: int, *, is_orphan: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._is_orphan = is_orphan
        self._start = 0
        self._end = os.fstat(descriptor).st_size
        BYTES.inc(self._end)
        self._torn_bytes = 0
        self._is_appending = False
        # The end offset and the time of each append that is not replayed yet.
        self._appended: deque[tuple[int, float]] = deque()

    @classmethod
    def create(cls, folder: Path, boot_id: str) -> Self:
        """Create the spool of a new boot, and the folder if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{boot_id}{SUFFIX}"
        spool = cls(path, _open_locked(path, os.O_CREAT | os.O_EXCL), is_orphan=False)
        _sync_folder(folder)
        return spool

    @classmethod
    def adopt(cls, path: Path) -> Self:
        """Open the spool of another boot.

        Raises:
            SpoolLocked: its owner is alive, or another process has adopted it.
        """
        return cls(path, _open_locked(path, 0), is_orphan=True)

    @property
    def size_bytes(self) -> int:
        """Bytes that have not been replayed."""
        return self._end - self._start

    def age_s(self) -> float:
        """Age of this process's oldest event that is not replayed, in seconds; 0 without one."""
        return time.monotonic() - self._appended[0][1] if self._appended else 0.0

    async def append(self, entries: Sequence[Entry]) -> None:
        """Append the events. They are on disk when this returns.

        Raises:
            OSError: they are not on disk. A retry is safe.
        """
        self._is_appending = True
        try:
            await asyncio.to_thread(self._write, b"".join(map(_framed, entries)))
        finally:
            self._is_appending = False
        self._appended.append((self._end, time.monotonic()))

    def _write(self, data: bytes) -> None:
        # Write at the end of the last complete append, over the remains of a failed one.
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], self._end + written)
        os.fsync(self._descriptor)
        self._end += len(data)
        BYTES.inc(len(data))

    async def read(self, size_bytes: int) -> tuple[list[Entry], int]:
        """Return the oldest events that are not replayed, at most `size_bytes`, and the offset after them.

        Raises:
            InconsistentState: this process's own file does not contain what was written to it.
        """
        data = await asyncio.to_thread(os.pread, self._descriptor, min(size_bytes, self.size_bytes), self._start)
        entries, end = [], self._start
        for entry, size in _whole_frames(data):
            entries.append(entry)
            end += size
        if data and not entries:
            if not self._is_orphan:
                raise InconsistentState(f"{self._path} has no complete event at offset {self._start} of {self._end}")
            self._torn_bytes, self._end = self._end - self._start, self._start
            BYTES.dec(self._torn_bytes)
        return entries, end

    def replayed(self, end: int) -> None:
        """Record that Kafka has all events before offset `end`."""
        BYTES.dec(end - self._start)
        self._start = end
        while self._appended and self._appended[0][0] <= end:
            self._appended.popleft()

    def clear_if_replayed(self) -> bool:
        """Truncate the file if all of it is replayed and nothing is being written. Return whether it is empty.

        It does not yield to other tasks, so nothing is spooled between its return and the caller's next await.
        """
        if self._is_appending or self.size_bytes:
            return False
        os.ftruncate(self._descriptor, 0)
        self._start = self._end = 0
        return True

    def close(self) -> None:
        """Close the file. Delete it if it is empty; otherwise it becomes an orphan."""
        if self._torn_bytes:
            log.warning(
                "%s has an incomplete end of %d bytes and is kept with another suffix", self._path, self._torn_bytes
            )
            self._path.rename(self._path.with_suffix(TORN_SUFFIX))
        elif not self.size_bytes:
            self._path.unlink()
        BYTES.dec(self.size_bytes)
        os.close(self._descriptor)


def adopt_orphans(folder: Path) -> Iterator[Spool]:
    """Yield the spools in `folder` that no process owns. The caller closes each."""
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
        # The previous holder of the lock may have deleted the file. This lock is then on a file without a name.
        if os.fstat(descriptor).st_nlink == 0:
            raise SpoolLocked(f"{path} has just been replayed by another process")
        on_error.pop_all()
    return descriptor


def _sync_folder(folder: Path) -> None:
    """Make the names of new files durable. Otherwise, a power failure could lose a name, but not the content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _framed(entry: Entry) -> bytes:
    payload = _encode(entry)
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def _whole_frames(data: bytes) -> Iterator[tuple[Entry, int]]:
    """Yield each event and the size of its frame, up to the first incomplete frame."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        payload = data[at + _HEADER.size : at + _HEADER.size + length]
        # A file that grew without its content reads as zeros, and the checksum of an empty payload is zero.
        if not length or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        try:
            entry = _decoder.decode(payload)
        except msgspec.DecodeError:
            # The frame is complete, but another version of this program wrote it.
            return
        yield entry, _HEADER.size + length
        at += _HEADER.size + length
