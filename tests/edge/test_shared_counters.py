"""Numbers in memory that several processes have."""

import logging
import os
from collections.abc import Iterator

import pytest

from tollgate_edge.observability import shared_counters as segments
from tollgate_edge.observability.shared_counters import PID, CounterSegment, added_up


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = CounterSegment.share()
    yield descriptor
    os.close(descriptor)


def told(segment: CounterSegment) -> dict[tuple[str, ...], list[int]]:
    return {name: list(numbers) for name, numbers in segment.numbers()}


def test_what_one_writes_the_other_reads(memory: int) -> None:
    writing, reading = CounterSegment.shared(memory), CounterSegment.shared(memory)
    writing.slots[writing.offset("answers", "/v1/ä", "200")] += 3
    offset = writing.offset("bounds", size=3)
    writing.slots[offset + 2] = -1
    writing.slots[writing.offset("answers", "/v1/ä", "200")] += 1
    assert told(reading) == {("answers", "/v1/ä", "200"): [4], ("bounds",): [0, 0, -1]}
    writing.slots[PID] = 7
    assert reading.slots[PID] == 7


def test_a_successor_goes_on(memory: int) -> None:
    before = CounterSegment.shared(memory)
    before.slots[before.offset("a", size=2) + 1] = 5
    after = CounterSegment.shared(memory)
    after.slots[after.offset("b")] += 1
    after.slots[after.offset("a", size=2) + 1] += 1
    assert told(after) == {("a",): [0, 6], ("b",): [1]}


def test_a_name_that_was_not_finished_is_none(memory: int) -> None:
    """Its process was killed after it had written the name, and before it had said how long all names are."""
    dead = CounterSegment.shared(memory)
    dead.offset("a")
    dead._text[len('[1, "a"]\n') :][:12] = b'[1, "torn", '
    after = CounterSegment.shared(memory)
    assert told(after) == {("a",): [0]}
    after.slots[after.offset("b")] = 2
    assert told(CounterSegment.shared(memory)) == {("a",): [0], ("b",): [2]}


def test_what_has_no_room_is_told_nowhere_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(segments, "SLOTS", 128)
    segment = CounterSegment.own()
    names = [str(number) for number in range(100)]
    with caplog.at_level(logging.ERROR):
        for name in names:
            segment.slots[segment.offset(name)] += 1
    assert "the shared counters are full" in caplog.text
    found = told(segment)
    assert 50 < len(found) < 100
    assert all(numbers == [1] for numbers in found.values())
    monkeypatch.setattr(segments, "NAMES_BYTES", 30)
    segment = CounterSegment.own()
    for name in ("a" * 10, "b" * 10):
        segment.slots[segment.offset(name)] += 1
    assert told(segment) == {("a" * 10,): [1]}


def test_sums_over_segments() -> None:
    one, two = CounterSegment.own(), CounterSegment.own()
    one.slots[one.offset("a")] = 1
    two.slots[two.offset("b", size=2)] = 10
    two.slots[two.offset("a")] = 2
    assert {name: list(numbers) for name, numbers in added_up([one, two]).items()} == {("a",): [3], ("b",): [10, 0]}
