"""Sequence numbers: every event carries `(boot_id, topic, partition, seq)`, dense and increasing.

For each boot and partition, a consumer keeps a high-water mark and the gaps below it. This state is enough to drop
every duplicate, and to find every lost event: its gap remains.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tollgate_common.errors import Poison
from tollgate_common.ids import id_floor, made_at

# Boots rotate daily, and a spool is replayed within days. The rows that prove that an event of an older boot was seen
# may have expired, so such an event cannot be distinguished from a duplicate.
BOOT_HORIZON = timedelta(days=8)

# Every store can hold larger numbers.
MAX_SEQ = 2**62


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """The number of an event in the sequence of its boot and partition. A resent event keeps it."""

    boot_id: str
    partition: int
    seq: int


class BootSequence(msgspec.Struct, frozen=True):
    """The seqs of one boot that were seen: all below `high` except those in `gaps` (half-open, ascending)."""

    high: int = 0
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def missing(self) -> int:
        return sum(end - start for start, end in self.gaps)

    def has(self, seq: int) -> bool:
        return seq < self.high and not any(start <= seq < end for start, end in self.gaps)

    def with_seq(self, seq: int) -> "BootSequence":
        """Return the state after `seq`, which must be new."""
        if seq >= self.high:
            return self.with_run(seq, seq + 1)
        gaps: list[tuple[int, int]] = []
        for start, end in self.gaps:
            if start <= seq < end:
                gaps.extend(part for part in ((start, seq), (seq + 1, end)) if part[0] < part[1])
            else:
                gaps.append((start, end))
        return BootSequence(self.high, tuple(gaps))

    def with_run(self, start: int, end: int) -> "BootSequence":
        """Return the state after all seqs of `[start, end)`. `start` must be at least `high`."""
        gap = ((self.high, start),) if start > self.high else ()
        return BootSequence(end, self.gaps + gap)


class SequenceState:
    """All boots that a consumer has seen on one partition. Changes go through a `SequenceUpdate`."""

    def __init__(self, boots: Mapping[str, BootSequence] | None = None) -> None:
        self.boots = dict(boots or {})

    def begin_update(self) -> "SequenceUpdate":
        return SequenceUpdate(self)

    def forget_older_than(self, now: datetime) -> None:
        """Forget the boots whose events are rejected because of their age, so that the state stays bounded."""
        floor = remembered_from(now)
        self.boots = {boot_id: boot for boot_id, boot in self.boots.items() if boot_id >= floor}


def remembered_from(now: datetime) -> str:
    """Return the smallest boot id that a state keeps: one day past the horizon, as a margin for clock skew."""
    return id_floor(now - BOOT_HORIZON - timedelta(days=1))


class SequenceUpdate:
    """A pending change of a state: admit the events of one block, then `apply` it once their effect is durable."""

    def __init__(self, base: SequenceState) -> None:
        self._base = base
        self.changed: dict[str, BootSequence] = {}

    def admit(self, stamp: Stamp, now: datetime) -> bool:
        """Return True if the event is new, False if it is a duplicate.

        Raises:
            Poison: the boot is older than the horizon, or the stamp is invalid.
        """
        if not 0 <= stamp.seq < MAX_SEQ:
            raise Poison(f"seq is {stamp.seq}; expected 0 to 2^62 - 1")
        boot = self._boot(stamp.boot_id, now)
        if boot.has(stamp.seq):
            return False
        self.changed[stamp.boot_id] = boot.with_seq(stamp.seq)
        return True

    def admit_runs(self, boot_ids: Sequence[str], seqs: Sequence[int], latest: datetime) -> bool:
        """Admit a whole block if the events of each boot are one ascending run at or above its high-water mark.

        Such a block has no duplicate, and the new state equals that of `admit` for each event. Otherwise return False
        and admit nothing; the caller then calls `admit` for each event.

        Args:
            boot_ids: boot of each event, in order.
            seqs: seq of each event.
            latest: the latest time of any event. A boot within the horizon at that time is within it for all events.
        """
        changed = {}
        for boot_id, run in _by_boot(boot_ids, seqs).items():
            try:
                boot = self._boot(boot_id, latest)
            except Poison:
                return False
            start, end = run[0], run[0] + len(run)
            if start < boot.high or end > MAX_SEQ or run != list(range(start, end)):
                return False
            changed[boot_id] = boot.with_run(start, end)
        self.changed |= changed
        return True

    def _boot(self, boot_id: str, now: datetime) -> BootSequence:
        boot = self.changed.get(boot_id) or self._base.boots.get(boot_id)
        if boot is None:
            _check_boot(boot_id, now)
            return BootSequence()
        return boot

    def apply(self) -> None:
        self._base.boots.update(self.changed)
        self.changed = {}


def _by_boot(boot_ids: Sequence[str], seqs: Sequence[int]) -> Mapping[str, Sequence[int]]:
    if len(set(boot_ids)) == 1:
        return {boot_ids[0]: seqs}
    found = defaultdict[str, list[int]](list)
    for boot_id, seq in zip(boot_ids, seqs, strict=True):
        found[boot_id].append(seq)
    return found


def _check_boot(boot_id: str, now: datetime) -> None:
    try:
        started_at = made_at(boot_id)
    except ValueError as error:
        raise Poison(f"boot_id: {error}") from error
    if started_at < now - BOOT_HORIZON:
        raise Poison(
            f"boot {boot_id} is older than {BOOT_HORIZON.days} days: its events cannot be distinguished from duplicates"
        )
