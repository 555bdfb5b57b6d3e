"""Numbers that every worker of an edge can read, and that outlive the worker that writes them.

Each worker writes one sheet: a row of 64-bit integers, the cells, and the names of what they tell. Its memory is the
supervisor's, a file that no folder names (memfd): nothing is left behind when all processes are gone, no disk's
write-back holds up a count, and what a worker has counted is there however it dies. Whoever takes its place goes on
with its sheet, so that no number falls.

A name counts once the length of all names has grown over it, so that a worker that is killed before has named nothing.
A cell is written and read at once, as the processor does it with eight aligned bytes. One thread of one process writes.
"""

import json
import logging
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

log = logging.getLogger(__name__)

Name = tuple[str, ...]

CELLS = 1 << 16
NAMES_BYTES = 4 << 20
_CELL_BYTES = 8
# The first cells: how many bytes of names there are; which process writes, 0 while there is none; when it last told of
# itself, in milliseconds of the clock that all processes of a machine share; and how it was.
_NAMES_END, PID, BEAT_MS, STATE, _FIRST = range(5)
# At the end, where nobody looks: where numbers go for whose names there is no room any more. No name has more cells.
_SPARE = 64


class CounterSegment:
    def __init__(self, memory: mmap.mmap) -> None:
        """Go on with what is there."""
        view = memoryview(memory)
        self.cells = view[: CELLS * _CELL_BYTES].cast("q")
        self._text = view[CELLS * _CELL_BYTES :]
        self._places: dict[Name, int] = {}
        self._free = _FIRST
        for name, place, size in self._named():
            self._places[name] = place
            self._free = place + size

    @classmethod
    def own(cls) -> Self:
        """One that only this process has."""
        sheet = cls(mmap.mmap(-1, CELLS * _CELL_BYTES + NAMES_BYTES))
        sheet.cells[PID] = os.getpid()
        return sheet

    @staticmethod
    def share() -> int:
        """The memory of a new one, for `shared`: an open file, for the caller to close."""
        descriptor = os.memfd_create("tollgate-edge-worker")
        os.truncate(descriptor, CELLS * _CELL_BYTES + NAMES_BYTES)
        return descriptor

    @classmethod
    def shared(cls, descriptor: int) -> Self:
        return cls(mmap.mmap(descriptor, 0))

    def place(self, *name: str, size: int = 1) -> int:
        """Where the `size` cells of a name begin, for the process that writes. They are 0 at first."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = self._add(name, size)
        return place

    def numbers(self) -> Iterator[tuple[Name, Sequence[int]]]:
        """What is written, in the order in which it was named."""
        for name, place, size in self._named():
            yield name, self.cells[place : place + size].tolist()

    def _add(self, name: Name, size: int) -> int:
        begin = self.cells[_NAMES_END]
        line = json.dumps([size, *name]).encode() + b"\n"
        if begin + len(line) > len(self._text) or self._free + size > CELLS - _SPARE:
            log.error("there is no room for another number of the metrics: %s is not told", name)
            return CELLS - _SPARE
        place, self._free = self._free, self._free + size
        self._text[begin : begin + len(line)] = line
        self.cells[_NAMES_END] = begin + len(line)
        return place

    def _named(self) -> Iterator[tuple[Name, int, int]]:
        place = _FIRST
        for line in bytes(self._text[: self.cells[_NAMES_END]]).splitlines():
            size, *name = json.loads(line)
            yield tuple(name), place, size
            place += size


def added_up(sheets: Iterable[CounterSegment]) -> dict[Name, Sequence[int]]:
    """Each name's numbers, added up over the sheets."""
    sums: dict[Name, Sequence[int]] = {}
    for sheet in sheets:
        for name, numbers in sheet.numbers():
            known = sums.get(name)
            sums[name] = numbers if known is None else [a + b for a, b in zip(known, numbers, strict=True)]
    return sums
