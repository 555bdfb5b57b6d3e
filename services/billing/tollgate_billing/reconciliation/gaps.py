"""Gaps in sequence numbers, missing tails that heartbeats reveal, and their explanations."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tollgate_billing.dead_letters.state import State
from tollgate_billing.dead_letters.store import ExplainingLetter
from tollgate_billing.reconciliation.report import Doubled, Gap
from tollgate_common.reconciliation.source import MAX_LISTED, Boot, Sent
from tollgate_common.topics import Topic

Requests = Mapping[tuple[int, str, int], str]


def find_gaps(service: str, topic: Topic, boots: Iterable[Boot]) -> list[Gap]:
    """Return the seqs that are missing below each boot's high-water mark."""
    return [_gap(service, topic, (boot.partition, boot.boot_id), gap) for boot in boots for gap in boot.gaps]


def find_tails(
    service: str,
    topic: Topic,
    boots: Iterable[Boot],
    sent: Iterable[Sent],
    is_caught_up: Callable[[int], bool],
) -> list[Gap]:
    """Return the seqs that a heartbeat counts and that have not arrived.

    `is_caught_up` returns whether a partition is consumed past the ends that were read after the heartbeats were
    requested. On other partitions the tail may only be late.
    """
    highs = {(boot.boot_id, boot.partition): boot.high for boot in boots}
    tails = []
    for heartbeat in sent:
        for partition, next_seq in enumerate(heartbeat.sent.get(topic.value, ())):
            high = highs.get((heartbeat.boot_id, partition), 0)
            if next_seq > high and is_caught_up(partition):
                boot = (partition, heartbeat.boot_id)
                tails.append(_gap(service, topic, boot, (high, next_seq), is_tail=True))
    return tails


def find_doubled(service: str, topic: Topic, boots: Iterable[Boot]) -> list[Doubled]:
    return [
        Doubled(
            service=service,
            topic=topic.value,
            partition=boot.partition,
            copies=duplicate.copies,
            request_id=duplicate.request_id,
            boot_id=boot.boot_id,
            seq=duplicate.seq,
        )
        for boot in boots
        for duplicate in boot.duplicates
    ]


def explain(gaps: Iterable[Gap], letters: Sequence[ExplainingLetter], requests: Requests) -> list[Gap]:
    """Split the gaps where a dead letter explains a missing seq, and add the requests that other services know."""
    known: dict[tuple[str, str, int, str, int], ExplainingLetter] = {}
    for letter in letters:
        if letter.boot_id is None or letter.seq is None or letter.source_topic is None:
            continue
        place = (letter.service, letter.source_topic, letter.source_partition or 0, letter.boot_id, letter.seq)
        # After a failed retry, the open letter applies.
        if place not in known or letter.state is State.DEAD_LETTERED:
            known[place] = letter
    by_boot: dict[tuple[str, str, int, str], list[ExplainingLetter]] = {}
    for (*boot, _), letter in sorted(known.items(), key=lambda item: item[0]):
        by_boot.setdefault(tuple(boot), []).append(letter)  # type: ignore[arg-type] # a tuple of the first four
    return [
        _named(part, requests)
        for gap in gaps
        for part in _cut(gap, by_boot.get((gap.service, gap.topic, gap.partition, gap.boot_id), []))
    ]


def _cut(gap: Gap, letters: Iterable[ExplainingLetter]) -> Iterator[Gap]:
    start = gap.start
    for letter in letters:
        seq = letter.seq
        if seq is None or not start <= seq < gap.end:
            continue
        if start < seq:
            yield gap.model_copy(update={"start": start, "end": seq})
        names = (letter.request_id,) if letter.request_id else ()
        found = {"start": seq, "end": seq + 1, "state": letter.state, "reason": letter.reason, "request_ids": names}
        yield gap.model_copy(update=found)
        start = seq + 1
    if start < gap.end:
        yield gap.model_copy(update={"start": start})


def _named(gap: Gap, requests: Requests) -> Gap:
    if gap.request_ids:
        return gap
    seqs = range(gap.start, min(gap.end, gap.start + MAX_LISTED))
    names = (requests.get((gap.partition, gap.boot_id, seq)) for seq in seqs)
    return gap.model_copy(update={"request_ids": tuple(name for name in names if name)})


def _gap(service: str, topic: Topic, boot: tuple[int, str], seqs: tuple[int, int], *, is_tail: bool = False) -> Gap:
    (partition, boot_id), (start, end) = boot, seqs
    return Gap(
        service=service,
        topic=topic.value,
        partition=partition,
        boot_id=boot_id,
        start=start,
        end=end,
        state=State.LOST,
        is_tail=is_tail,
    )
