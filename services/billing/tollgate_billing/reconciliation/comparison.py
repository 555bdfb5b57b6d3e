"""Compare the amounts of several services by offset. Divide ranges that differ until rows can be compared."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tollgate_billing.reconciliation.report import Mismatch
from tollgate_common.reconciliation.source import Digest, Range, ReconciliationSource, Row
from tollgate_common.topics import Topic

# Ranges of at most this many records are compared row by row. Larger ones are compared by their sums.
LEAF = 1_000
PIECES = 32
# Bounds the differing rows that one report lists.
MAX_MISMATCHES = 500


class Party(NamedTuple):
    """A service to compare. `has_every_row` is false for the ledger, which has no rows for free usage."""

    service: str
    source: ReconciliationSource
    has_every_row: bool


class Comparison(NamedTuple):
    amounts_nano: dict[str, int]
    """The sum of each party's rows."""
    events: int
    mismatches: list[Mismatch]
    requests: dict[tuple[int, str, int], str]
    """The request of each (partition, boot, seq) that was read. It names requests that one party lacks."""
    is_complete: bool


async def compare(parties: Sequence[Party], topic: Topic, spans: Sequence[Range]) -> Comparison:
    """Compare the parties over ranges that all of them have consumed, one range per partition."""
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
    responses = await asyncio.gather(*(party.source.digests(topic, spans) for party in parties))
    return [{(digest.partition, digest.start): digest for digest in response} for response in responses]


def _differing(
    parties: Sequence[Party], spans: Sequence[Range], digests: Sequence[Mapping[tuple[int, int], Digest]]
) -> list[Range]:
    """Return the pieces of the spans whose digests differ."""
    different = []
    for span in spans:
        for start in range(span.start, span.end, span.step):
            found = [response.get((span.partition, start)) for response in digests]
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
    """Add the rows of the offsets at which the parties differ. Return the number of those offsets."""
    responses = await asyncio.gather(
        *(party.source.rows(topic, span.partition, span.start, span.end) for party in parties)
    )
    by_offset: dict[int, list[list[Row]]] = defaultdict(lambda: [[] for _ in parties])
    for place, response in enumerate(responses):
        for row in response:
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
    """Return one mismatch per request.

    A retried dead letter is at its new offset in the service that rejected it, and at its old one in the others. This
    is one event, and not a mismatch.
    """
    by_request: dict[tuple[str, str], list[list[tuple[int, Row]]]] = defaultdict(lambda: [[] for _ in parties])
    for place, party in enumerate(parties):
        for partition, row in rows[party.service]:
            # An event without a request is identified by its offset.
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
