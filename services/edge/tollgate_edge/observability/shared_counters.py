"""Shared counters: numbers that every worker of an edge can read, and that outlive the worker that writes them.

Each worker writes one segment: an array of 64-bit integers, the slots, and the names of its numbers. The supervisor
owns the memory, an anonymous file (memfd). So nothing remains after all processes have ended, no write to disk delays a
count, and a worker's counts survive its death. The worker that replaces it continues its segment, so no counter
decreases.

A name is valid once the stored length of all names includes it, so a worker that is killed while it adds a name leaves
no invalid one. Slots are read and written atomically, as aligned words of eight bytes. One thread of one process
writes.
"""

import json
import logging
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

log = logging.getLogger(__name__)

Name = tuple[str, ...]

SLOTS = 1 << 16
NAMES_BYTES = 4 << 20
_SLOT_BYTES = 8
# The first slots: the length of the names in bytes; the writing process, 0 without one; the time of its last heartbeat,
# in milliseconds of the monotonic clock of the machine; and its state.
_NAMES_END, PID, BEAT_MS, STATE, _FIRST = range(5)
# Slots at the end for numbers whose names have no space left. Nobody reads them. No name has more slots.
_SPARE = 64


class CounterSegment:
    def __init__(self, memory: mmap.mmap) -> None:
        """Open a segment with its current names and numbers."""
        view = memoryview(memory)
        self.slots = view[: SLOTS * _SLOT_BYTES].cast("q")
        self._text = view[SLOTS * _SLOT_BYTES :]
        self._offsets: dict[Name, int] = {}
        self._free = _FIRST
        for name, offset, size in self._named():
            self._offsets[name] = offset
            self._free = offset + size

    @classmethod
    def own(cls) -> Self:
        """Create a segment that only this process has."""
        segment = cls(mmap.mmap(-1, SLOTS * _SLOT_BYTES + NAMES_BYTES))
        segment.slots[PID] = os.getpid()
        return segment

    @staticmethod
    def share() -> int:
        """Create the memory of a segment for `shared`. Return its file descriptor, which the caller closes."""
        descriptor = os.memfd_create("tollgate-edge-worker")
        os.truncate(descriptor, SLOTS * _SLOT_BYTES + NAMES_BYTES)
        return descriptor

    @classmethod
    def shared(cls, descriptor: int) -> Self:
        return cls(mmap.mmap(descriptor, 0))

    def offset(self, *name: str, size: int = 1) -> int:
        """Return the offset of a name's `size` slots, for the writing process. New slots are 0."""
        offset = self._offsets.get(name)
        if offset is None:
            offset = self._offsets[name] = self._add(name, size)
        return offset

    def numbers(self) -> Iterator[tuple[Name, Sequence[int]]]:
        """Yield the names and their numbers, in the order in which they were added."""
        for name, offset, size in self._named():
            yield name, self.slots[offset : offset + size].tolist()

    def _add(self, name: Name, size: int) -> int:
        begin = self.slots[_NAMES_END]
        line = json.dumps([size, *name]).encode() + b"\n"
        if begin + len(line) > len(self._text) or self._free + size > SLOTS - _SPARE:
            log.error("the shared counters are full, so the metric %s is not counted", name)
            return SLOTS - _SPARE
        offset, self._free = self._free, self._free + size
        self._text[begin : begin + len(line)] = line
        self.slots[_NAMES_END] = begin + len(line)
        return offset

    def _named(self) -> Iterator[tuple[Name, int, int]]:
        offset = _FIRST
        for line in bytes(self._text[: self.slots[_NAMES_END]]).splitlines():
            size, *name = json.loads(line)
            yield tuple(name), offset, size
            offset += size


def added_up(segments: Iterable[CounterSegment]) -> dict[Name, Sequence[int]]:
    """Return the sums of each name's numbers over the segments."""
    sums: dict[Name, Sequence[int]] = {}
    for segment in segments:
        for name, numbers in segment.numbers():
            known = sums.get(name)
            sums[name] = numbers if known is None else [a + b for a, b in zip(known, numbers, strict=True)]
    return sums
