"""Do several services hold the same amounts at the same offsets? Where not, halve the question until rows can tell."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tollgate_billing.reconciliation.report import Mismatch
from tollgate_common.reconciliation.source import Digest, Range, ReconciliationSource, Row
from tollgate_common.topics import Topic

# Records that are compared row by row; above it, pieces are compared by their sums.
LEAF = 1_000
PIECES = 32
# Rows that differ; whoever has more of them knows enough to begin with.
MAX_MISMATCHES = 500


class Party(NamedTuple):
    """A service whose books are compared. `has_every_row` is false of the ledger: what costs nothing is not in it."""

    service: str
    books: ReconciliationSource
    has_every_row: bool


class Comparison(NamedTuple):
    amounts_nano: dict[str, int]
    """What each party's rows add up to, over everything."""
    events: int
    mismatches: list[Mismatch]
    requests: dict[tuple[int, str, int], str]
    """The request of each (partition, boot, seq) that was met on the way: what one party lacks, another can name."""
    is_complete: bool


async def compare(parties: Sequence[Party], topic: Topic, spans: Sequence[Range]) -> Comparison:
    """Compare the parties over ranges that all of them have consumed; one range a partition."""
    digests = await _ask(parties, topic, spans)
    amounts = {
        party.service: sum(digest.amount_nano for digest in found.values())
        for party, found in zip(parties, digests, strict=True)
    }
    events = max((sum(digest.rows or 0 for digest in found.values()) for found in digests), default=0)
    queue = _differing(parties, spans, digests)
    rows: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    count = 0
    while queue and count < MAX_MISMATCHES:
        span = queue.pop(0)
        if span.end - span.start > LEAF:
            piece = span.model_copy(update={"step": max(LEAF, -(-(span.end - span.start) // PIECES))})
            queue[:0] = _differing(parties, [piece], await _ask(parties, topic, [piece]))
            continue
        count += await _collect(parties, topic, span, rows)
    return Comparison(amounts, events, _mismatches(parties, topic, rows), _requests(rows), is_complete=not queue)


async def _ask(parties: Sequence[Party], topic: Topic, spans: Sequence[Range]) -> list[dict[tuple[int, int], Digest]]:
    answers = await asyncio.gather(*(party.books.digests(topic, spans) for party in parties))
    return [{(digest.partition, digest.start): digest for digest in answer} for answer in answers]


def _differing(
    parties: Sequence[Party], spans: Sequence[Range], digests: Sequence[Mapping[tuple[int, int], Digest]]
) -> list[Range]:
    """The pieces of the spans whose digests are not the same."""
    different = []
    for span in spans:
        for start in range(span.start, span.end, span.step):
            found = [answer.get((span.partition, start)) for answer in digests]
            if _differ(parties, found):
                end = min(span.end, start + span.step)
                different.append(Range(partition=span.partition, start=start, end=end, step=max(1, end - start)))
    return different


def _differ(parties: Sequence[Party], digests: Sequence[Digest | None]) -> bool:
    amounts = {(digest.charges, digest.amount_nano, digest.checksum) if digest else (0, 0, 0) for digest in digests}
    rows = {
        (digest.rows, digest.tokens) if digest else (0, 0)
        for party, digest in zip(parties, digests, strict=True)
        if party.has_every_row
    }
    return len(amounts) > 1 or len(rows) > 1


async def _collect(parties: Sequence[Party], topic: Topic, span: Range, into: dict[str, list[tuple[int, Row]]]) -> int:
    """Add the rows of the offsets at which the parties differ; returns how many offsets those are."""
    answers = await asyncio.gather(
        *(party.books.rows(topic, span.partition, span.start, span.end) for party in parties)
    )
    by_offset: dict[int, list[list[Row]]] = defaultdict(lambda: [[] for _ in parties])
    for place, answer in enumerate(answers):
        for row in answer:
            by_offset[row.offset][place].append(row)
    different = [found for _, found in sorted(by_offset.items()) if not _agree(parties, found)]
    for found in different:
        for party, rows in zip(parties, found, strict=True):
            into[party.service].extend((span.partition, row) for row in rows)
    return len(different)


def _agree(parties: Sequence[Party], rows: Sequence[Sequence[Row]]) -> bool:
    amounts = {tuple(sorted(row.amount_nano for row in found if row.amount_nano)) for found in rows}
    whole = {
        tuple(sorted((row.request_id, row.tokens) for row in found))
        for party, found in zip(parties, rows, strict=True)
        if party.has_every_row
    }
    return len(amounts) == 1 and len(whole) <= 1


def _mismatches(
    parties: Sequence[Party], topic: Topic, rows: Mapping[str, Sequence[tuple[int, Row]]]
) -> list[Mismatch]:
    """One for each request. A dead letter that was sent again stands at its new offset where it had been refused and at
    its old one everywhere else: that is the same event, and no mismatch."""
    by_request: dict[tuple[str, str], list[list[tuple[int, Row]]]] = defaultdict(lambda: [[] for _ in parties])
    for place, party in enumerate(parties):
        for partition, row in rows[party.service]:
            # An event that belongs to no request is known by its offset.
            request = row.request_id or f"{partition}@{row.offset}"
            by_request[request, row.account_id][place].append((partition, row))
    return [
        _mismatch(parties, topic, found)
        for found in by_request.values()
        if not _agree(parties, [[row for _, row in placed] for placed in found])
    ]


def _mismatch(parties: Sequence[Party], topic: Topic, found: Sequence[Sequence[tuple[int, Row]]]) -> Mismatch:
    partition, first = min(
        (placed for rows in found for placed in rows), key=lambda placed: (placed[0], placed[1].offset)
    )
    by_service = {party.service: [row for _, row in rows] for party, rows in zip(parties, found, strict=True)}
    return Mismatch(
        topic=topic.value,
        partition=partition,
        offset=first.offset,
        request_id=first.request_id,
        account_id=first.account_id,
        amounts_nano={service: tuple(row.amount_nano for row in rows) for service, rows in by_service.items()},
        tokens={
            party.service: tuple(row.tokens or 0 for row in by_service[party.service])
            for party in parties
            if party.has_every_row
        },
    )


def _requests(rows: Mapping[str, Iterable[tuple[int, Row]]]) -> dict[tuple[int, str, int], str]:
    return {
        (partition, row.boot_id, row.seq): row.request_id
        for found in rows.values()
        for partition, row in found
        if row.boot_id is not None and row.seq is not None and row.request_id
    }
