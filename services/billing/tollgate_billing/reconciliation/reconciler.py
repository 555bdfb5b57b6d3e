"""One reconciliation, from the first query to the report.

The results are comparable, because everything is compared up to the lowest offset that all consumers have passed: a
consumer that lags is not an alarm. Tails are judged by heartbeats that were requested *before* the ends of the topics
were read. Every event that they count was in the log by then. A consumer that has passed those ends has it or lost it.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_billing.catalog import store
from tollgate_billing.dead_letters import store as letter_store
from tollgate_billing.dead_letters.state import State
from tollgate_billing.dead_letters.store import ExplainingLetter
from tollgate_billing.reconciliation import gaps
from tollgate_billing.reconciliation.charge_source import ChargeReconciliationSource, RatedAgain
from tollgate_billing.reconciliation.comparison import Comparison, Party, compare
from tollgate_billing.reconciliation.event_log import Ends, EventLog
from tollgate_billing.reconciliation.remote_source import RemoteReconciliationSource
from tollgate_billing.reconciliation.report import (
    Doubled,
    Gap,
    Lag,
    Mismatch,
    Quarantined,
    Report,
    StaleSum,
    Totals,
)
from tollgate_common.clock import utc_now
from tollgate_common.postgres.connection import Pool
from tollgate_common.reconciliation.source import Range, ReconciliationSource, Sent, UnclosedRequests, WriteOffs
from tollgate_common.sequence import BOOT_HORIZON
from tollgate_common.topics import WITH_DEAD_LETTERS, Topic

BALANCE, BILLING, ANALYTICS = "balance", "billing", "analytics"
# How long a reconciliation waits for consumers to reach the ends that it has read.
CATCH_UP_S = 10.0
POLL_S = 0.25
CLOCK_SKEW = timedelta(minutes=1)
# Boots that started up to this long before the reconciled time may have events in it.
BOOTS_BEFORE = BOOT_HORIZON + timedelta(days=1)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

Positions = Mapping[tuple[str, Topic, int], int]
"""By service, topic and partition, the next offset to consume."""


class ReconciliationInputs(NamedTuple):
    """The inputs of a reconciliation, in the order in which they were requested."""

    sent: Sequence[Sent]
    ends: Ends
    letters: Sequence[ExplainingLetter]
    positions: Positions


class Sequences(NamedTuple):
    gaps: list[Gap]
    doubled: list[Doubled]
    missing_unlisted: int
    duplicated: int


class Findings(NamedTuple):
    compared: Comparison
    mismatches: list[Mismatch]
    sequences: Sequences
    rated: RatedAgain
    stale: list[StaleSum]
    unclosed: UnclosedRequests
    write_offs: WriteOffs
    quarantined: list[Quarantined]


class Reconciler:
    def __init__(
        self,
        *,
        pool: Pool,
        event_log: EventLog,
        prefix: str,
        charges: ChargeReconciliationSource,
        balance: RemoteReconciliationSource,
        analytics: RemoteReconciliationSource,
        abandoned_after: timedelta,
    ) -> None:
        self._pool = pool
        self._log = event_log
        self._prefix = prefix
        self._charges = charges
        self._balance = balance
        self._analytics = analytics
        self._abandoned_after = abandoned_after
        self._busy = asyncio.Lock()

    @property
    def _consumers(self) -> Sequence[tuple[str, ReconciliationSource, tuple[Topic, ...]]]:
        return (
            (BALANCE, self._balance, (Topic.USAGE,)),
            (BILLING, self._charges, (Topic.USAGE,)),
            (ANALYTICS, self._analytics, (Topic.USAGE, Topic.REQUESTS)),
        )

    async def run(self, start: datetime | None, end: datetime | None) -> Report:
        """Reconcile the records that were sent in `[start, end)`. One reconciliation runs at a time.

        Args:
            start: None starts at the first record.
            end: None ends now.

        Raises:
            Retryable: a service, Kafka or a store is unavailable.
        """
        async with self._busy:
            return await self._run(start, end)

    async def _run(self, start: datetime | None, end: datetime | None) -> Report:
        started_at = utc_now()
        expired_before = await self._expired_before(start)
        start = expired_before or start
        inputs = await self._inputs(start or EPOCH)
        found = await self._find(start, end, inputs, started_at)
        totals = _totals(found)
        return Report(
            is_clean=not any(totals.differences.values()),
            start=start,
            expired_before=expired_before,
            end=end or started_at,
            started_at=started_at,
            finished_at=utc_now(),
            compared_events=found.compared.events,
            totals=totals,
            lag=tuple(self._lag(inputs.ends, inputs.positions)),
            gaps=tuple(found.sequences.gaps),
            doubled=(*found.sequences.doubled, *_doubled_postings(found.mismatches)),
            mismatches=tuple(found.mismatches),
            misrated=found.rated.listed,
            stale_sums=tuple(found.stale),
            unclosed=found.unclosed.oldest,
            write_offs=found.write_offs.newest,
            quarantined=tuple(found.quarantined),
            is_complete=_is_complete(found),
        )

    async def _expired_before(self, start: datetime | None) -> datetime | None:
        """Return the earliest start whose usage rows are kept, if `start` is before it; otherwise None.

        A boot that started before it has lost rows too, and would appear to have gaps.
        """
        kept = await self._analytics.kept()
        first = kept.rows_from + BOOTS_BEFORE
        return first if kept.rows_from > EPOCH and (start or EPOCH) < first else None

    async def _find(
        self, start: datetime | None, end: datetime | None, inputs: ReconciliationInputs, started_at: datetime
    ) -> Findings:
        since, until = start or EPOCH, end or started_at
        spans = await self._spans(start, end, inputs)
        parties = (
            Party(BALANCE, self._balance, has_every_row=False),
            Party(BILLING, self._charges, has_every_row=True),
            Party(ANALYTICS, self._analytics, has_every_row=True),
        )
        compared = await compare(parties, Topic.USAGE, spans)
        return Findings(
            compared,
            [_explained(mismatch, inputs.letters) for mismatch in compared.mismatches],
            await self._sequences(boots_since(since), inputs, compared),
            await self._charges.rate_again(spans),
            await self._stale_sums(since),
            await self._abandoned(since, min(until, started_at - self._abandoned_after), inputs),
            # Include usage that was consumed while this run waited. The ledger's clock may be ahead of ours.
            await self._balance.write_offs(since, end or utc_now() + CLOCK_SKEW),
            await self._quarantined(),
        )

    async def _inputs(self, since: datetime) -> ReconciliationInputs:
        # Wait once before reading the heartbeats too, so that they are the newest ones.
        await self._caught_up(await self._ends())
        sent = await self._analytics.sent(boots_since(since))
        ends = await self._ends()
        letters = await self._letters(since)
        return ReconciliationInputs(sent, ends, letters, await self._caught_up(ends))

    async def _ends(self) -> Ends:
        return await self._log.ends(*(topic.named(self._prefix) for topic in (Topic.USAGE, Topic.REQUESTS)))

    # --- positions ----------------------------------------------------------------------------------------------------

    async def _caught_up(self, ends: Ends) -> Positions:
        """Return the positions once all consumers have passed the ends, or after `CATCH_UP_S`."""
        deadline = time.monotonic() + CATCH_UP_S
        while True:
            positions = await self._positions()
            if not any(True for _ in self._lag(ends, positions)) or time.monotonic() > deadline:
                return positions
            await asyncio.sleep(POLL_S)

    async def _positions(self) -> Positions:
        asked = [(service, source, topic) for service, source, topics in self._consumers for topic in topics]
        responses = await asyncio.gather(*(source.positions(topic) for _, source, topic in asked))
        return {
            (service, topic, position.partition): position.next
            for (service, _, topic), response in zip(asked, responses, strict=True)
            for position in response
        }

    def _lag(self, ends: Ends, positions: Positions) -> Iterable[Lag]:
        for service, _, topics in self._consumers:
            for topic in topics:
                for partition, end in ends[topic.named(self._prefix)].items():
                    position = positions.get((service, topic, partition), 0)
                    if position < end:
                        yield Lag(service=service, topic=topic.value, partition=partition, next=position, end=end)

    async def _spans(self, start: datetime | None, end: datetime | None, inputs: ReconciliationInputs) -> list[Range]:
        """Return the offsets of usage.v1 in the reconciled time that all consumers have passed."""
        topic = Topic.USAGE.named(self._prefix)
        ends = inputs.ends[topic]
        first = dict.fromkeys(ends, 0) if start is None else await self._log.at(start, ends, topic)
        last = None if end is None else await self._log.at(end, ends, topic)
        spans = []
        for partition in sorted(ends):
            safe = min(
                inputs.positions.get((name, Topic.USAGE, partition), 0) for name in (BALANCE, BILLING, ANALYTICS)
            )
            stop = safe if last is None else min(safe, last[partition])
            if first[partition] < stop:
                step = stop - first[partition]
                spans.append(Range(partition=partition, start=first[partition], end=stop, step=step))
        return spans

    # --- sequence numbers ---------------------------------------------------------------------------------------------

    async def _sequences(self, since: datetime, inputs: ReconciliationInputs, compared: Comparison) -> Sequences:
        found: list[Gap] = []
        doubled: list[Doubled] = []
        unlisted = duplicated = 0
        for service, source, topics in self._consumers:
            for topic in topics:
                boots = await source.boots(topic, since)

                def is_caught_up(partition: int, service: str = service, topic: Topic = topic) -> bool:
                    end = inputs.ends[topic.named(self._prefix)].get(partition)
                    return end is not None and inputs.positions.get((service, topic, partition), 0) >= end

                found += gaps.find_gaps(service, topic, boots)
                found += gaps.find_tails(service, topic, boots, inputs.sent, is_caught_up)
                doubled += gaps.find_doubled(service, topic, boots)
                duplicated += sum(boot.duplicated for boot in boots)
                unlisted += sum(boot.missing - sum(last - first for first, last in boot.gaps) for boot in boots)
        return Sequences(gaps.explain(found, inputs.letters, compared.requests), doubled, unlisted, duplicated)

    # --- dead letters -------------------------------------------------------------------------------------------------

    async def _letters(self, since: datetime) -> Sequence[ExplainingLetter]:
        """Read the letters once all that are in the log are stored, or after `CATCH_UP_S`."""
        ends = await self._log.ends(*(topic.dead_letters(self._prefix) for topic in WITH_DEAD_LETTERS))
        deadline = time.monotonic() + CATCH_UP_S
        while True:
            async with self._pool.connection() as connection:
                known = await letter_store.positions(connection)
                is_late = any(
                    known.get((topic, partition), 0) < end
                    for topic, partitions in ends.items()
                    for partition, end in partitions.items()
                )
                if not is_late or time.monotonic() > deadline:
                    return await letter_store.explaining(connection, self._prefix, since)
            await asyncio.sleep(POLL_S)

    # --- stored sums, quarantine, abandoned requests ------------------------------------------------------------------

    async def _stale_sums(self, since: datetime) -> list[StaleSum]:
        responses = await asyncio.gather(*(source.drifts(since) for _, source, _ in self._consumers))
        return [
            StaleSum(service=service, drift=drift)
            for (service, _, _), drifts in zip(self._consumers, responses, strict=True)
            for drift in drifts
        ]

    async def _quarantined(self) -> list[Quarantined]:
        async with self._pool.connection() as connection:
            found = await store.quarantines(connection)
        return [
            Quarantined(model=each.model, reason=each.reason, since=each.since, dead_letter=each.source)
            for each in found
        ]

    async def _abandoned(self, since: datetime, until: datetime, inputs: ReconciliationInputs) -> UnclosedRequests:
        """Find abandoned requests on fully consumed partitions. On others a close may only be late."""
        partitions = [
            partition
            for partition, end in inputs.ends[Topic.REQUESTS.named(self._prefix)].items()
            if inputs.positions.get((ANALYTICS, Topic.REQUESTS, partition), 0) >= end
        ]
        if since >= until or not partitions:
            return UnclosedRequests(count=0)
        return await self._analytics.unclosed(since, until, partitions)


def boots_since(start: datetime) -> datetime:
    """Return the earliest start of a boot that may have sent events at `start` or later."""
    return max(EPOCH + BOOTS_BEFORE, start) - BOOTS_BEFORE


def _explained(mismatch: Mismatch, letters: Sequence[ExplainingLetter]) -> Mismatch:
    """Return the mismatch with the state of the dead letter of its event, if there is one."""
    for letter in letters:
        is_same_place = (letter.source_topic, letter.source_partition, letter.source_offset) == (
            mismatch.topic,
            mismatch.partition,
            mismatch.offset,
        )
        if is_same_place or (letter.request_id is not None and letter.request_id == mismatch.request_id):
            return mismatch.model_copy(update={"state": letter.state})
    return mismatch


def _doubled_postings(mismatches: Iterable[Mismatch]) -> list[Doubled]:
    """Find events that the ledger posted twice. It stores no row per event, so they show in its amounts."""
    return [
        Doubled(
            service=BALANCE,
            topic=mismatch.topic,
            partition=mismatch.partition,
            copies=len(mismatch.amounts_nano[BALANCE]),
            request_id=mismatch.request_id,
            offset=mismatch.offset,
        )
        for mismatch in mismatches
        if len(mismatch.amounts_nano[BALANCE]) > 1
    ]


def _is_complete(found: Findings) -> bool:
    return (
        found.compared.is_complete
        and not found.sequences.missing_unlisted
        and len(found.rated.listed) == found.rated.charges
        and len(found.unclosed.oldest) == found.unclosed.count
        and len(found.write_offs.newest) == found.write_offs.count
    )


def _totals(found: Findings) -> Totals:
    # Discarded events, and retried ones that have not arrived yet, are explained and excluded from the sums.
    explained = [mismatch for mismatch in found.mismatches if mismatch.state in {State.DISCARDED, State.RETRIED}]

    def amount(service: str) -> int:
        return found.compared.amounts_nano[service] - sum(sum(mismatch.amounts_nano[service]) for mismatch in explained)

    def seqs(*states: State) -> int:
        return sum(gap.end - gap.start for gap in found.sequences.gaps if gap.state in states)

    doubled_postings = sum(doubled.copies - 1 for doubled in _doubled_postings(found.mismatches))
    return Totals(
        missing=seqs(State.LOST) + found.sequences.missing_unlisted,
        dead_lettered=seqs(State.DEAD_LETTERED, State.RETRIED),
        discarded=seqs(State.DISCARDED),
        duplicated=found.sequences.duplicated + doubled_postings,
        ledger_minus_charges_nano=amount(BALANCE) - amount(BILLING),
        charges_minus_usage_nano=amount(BILLING) - amount(ANALYTICS),
        charges_minus_rated_nano=found.rated.difference_nano,
        mismatches=len(found.mismatches) - len(explained),
        misrated=found.rated.charges,
        stale_sums=len(found.stale),
        unclosed_requests=found.unclosed.count,
        write_offs=found.write_offs.count,
        write_off_nano=found.write_offs.amount_nano,
        quarantined=len(found.quarantined),
    )
