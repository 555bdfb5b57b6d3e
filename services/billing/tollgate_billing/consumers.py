"""usage.v1 → the table of charges.

Guarantee: each event becomes exactly one row, whatever is killed and whenever; the crash windows are the sink's
(`tollgate_common.sink`). A charge is rated again from billing's own catalogue before it becomes a row, so what the edge
stamped and what the catalogue says cannot differ unseen: the event goes to the dead letters with both amounts.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
from aiokafka import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient
from msgspec.structs import asdict, astuple

from tollgate_billing.catalogue import Catalogue, Rating
from tollgate_common.consumer import SESSION_TIMEOUT_MS, Batches, Consumer, Record
from tollgate_common.dead_letters import DeadLetters
from tollgate_common.errors import Poison
from tollgate_common.events import LeaseClosed, TokensUsed, UsageEvent, decode_usage
from tollgate_common.rating import QUANTITY_COLUMNS, TokenCounts
from tollgate_common.sequence import Stamp
from tollgate_common.sink import Sink, Table
from tollgate_common.topics import Topic

# What the columns can hold: the range of DateTime64(3), and of UInt64 less a bit that nothing needs.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
MAX_COUNT = (1 << 63) - 1


# Long enough to keep the parts few; nobody watches charges live.
LINGER_S = 1.0

DIMENSIONS = (
    "request_id",
    "project_id",
    "key_id",
    "endpoint",
    "model",
    "served_model",
    "provider",
    "stream",
    "end_user",
    "client",
)
# In the order of `_row`.
COLUMNS = (
    "kind",
    "at",
    "account_id",
    "lease_id",
    *DIMENSIONS,
    "outcome",
    "finish_reason",
    "estimated",
    *(QUANTITY_COLUMNS[name] for name in TokenCounts.__struct_fields__),
    "amount_nano",
    "price_version",
    "plan_version",
    "provider_cost_nano",
    "lines.token_class",
    "lines.quantity",
    "lines.price",
    "request_nano",
    "multiplier_bps",
    "tier_above_tokens",
)
_dimensions = attrgetter(*DIMENSIONS)
_NOTHING_ASKED = (
    ("",) * DIMENSIONS.index("stream") + (False,) + ("",) * (len(DIMENSIONS) - 1 - DIMENSIONS.index("stream"))
)
_NOTHING_USED = ("", "", False, *astuple(TokenCounts()), 0, "", "", None, (), (), (), 0, 0, 0)


class Charge(msgspec.Struct, frozen=True, gc=False):
    """An event as its row, in the order of `COLUMNS`: a plain tuple, because every charge there is passes here. One
    that charges nothing has no request, no tokens and no amount."""

    stamp: Stamp
    row: tuple[Any, ...]


def create_consumer(bootstrap: str, prefix: str, *, session_timeout_ms: int = SESSION_TIMEOUT_MS) -> Consumer:
    return Consumer(
        bootstrap,
        f"{prefix}.billing",
        [Topic.USAGE.named(prefix)],
        linger_s=LINGER_S,
        session_timeout_ms=session_timeout_ms,
    )


def create_handler(
    bootstrap: str, consumer: Consumer, clickhouse: AsyncClient, dead_letters: DeadLetters, catalogue: Catalogue
) -> "ChargesHandler":
    sink = Sink(
        bootstrap=bootstrap,
        consumer=consumer,
        clickhouse=clickhouse,
        table=charges_table(catalogue),
        dead_letters=dead_letters,
    )
    return ChargesHandler(sink, catalogue)


def charges_table(catalogue: Catalogue) -> Table[Charge]:
    return Table("charges", COLUMNS, lambda record: charge_of(record, catalogue), columns)


def columns(charges: Sequence[Charge]) -> list[tuple[Any, ...]]:
    """The rows, turned: one sequence for each of `COLUMNS`."""
    return list(zip(*(charge.row for charge in charges), strict=True))


def charge_of(record: Record, catalogue: Catalogue) -> Charge:
    """The row of one message.

    Raises:
        Poison: it is no usage event, cannot be stored, or is not rated as the catalogue says.
    """
    event = decode_usage(record.value)
    _check_fits(event)
    if isinstance(event, TokensUsed):
        return Charge(event.stamp, _row(event, catalogue.rate(event)))
    kind, lease_id = ("lease_closed", event.lease_id) if isinstance(event, LeaseClosed) else ("void", "")
    return Charge(event.stamp, (kind, event.at, event.account_id, lease_id, *_NOTHING_ASKED, *_NOTHING_USED))


def _row(event: TokensUsed, rating: Rating) -> tuple[Any, ...]:
    return (
        "charge",
        event.at,
        event.request.account_id,
        event.lease_id or "",
        *_dimensions(event.request),
        event.outcome.value,
        event.finish_reason,
        event.estimated,
        *astuple(event.tokens),
        event.amount_nano,
        event.price_version,
        event.plan_version,
        event.provider_cost_nano,
        [line.token_class for line in rating.lines],
        [line.quantity for line in rating.lines],
        [line.price for line in rating.lines],
        rating.request_nano,
        rating.multiplier_bps,
        rating.tier_above_tokens,
    )


def _check_fits(event: UsageEvent) -> None:
    """A value that no column can hold would make its block's insert fail for ever, and all that comes after it wait."""
    if event.at.tzinfo is None or not EARLIEST <= event.at < LATEST:
        raise Poison(f"at is {event.at.isoformat()}; expected a time with its offset from UTC, between 1970 and 2200")
    if isinstance(event, TokensUsed):
        counts = (event.provider_cost_nano or 0, *astuple(event.tokens))
        if min(counts) < 0 or max(counts) > MAX_COUNT:
            raise _unfit(event)


def _unfit(event: TokensUsed) -> Poison:
    counts = {"provider_cost_nano": event.provider_cost_nano or 0} | asdict(event.tokens)
    name = next(name for name, count in counts.items() if not 0 <= count <= MAX_COUNT)
    return Poison(f"{name} is {counts[name]}; expected 0 to {MAX_COUNT}")


class _Versions(msgspec.Struct):
    price_version: str = ""
    plan_version: str = ""


_versions_decoder = msgspec.json.Decoder(_Versions)


class ChargesHandler:
    """A sink that has read the catalogue before it decides that an event's price is unknown.

    The decision must come out the same when a successor builds a declared block again. It does: a version is in the
    catalogue before any edge hears of it, and the catalogue is read anew at each assignment.
    """

    def __init__(self, sink: Sink[Charge], catalogue: Catalogue) -> None:
        self._sink = sink
        self._catalogue = catalogue

    async def assigned(self, partition: TopicPartition) -> int:
        await self._catalogue.load()
        return await self._sink.assigned(partition)

    async def handle(self, batches: Batches) -> None:
        await self._catalogue.learn({name for records in batches.values() for name in _versions(records) if name})
        await self._sink.handle(batches)

    def revoked(self, partitions: set[TopicPartition]) -> None:
        self._sink.revoked(partitions)


def _versions(records: Sequence[Record]) -> set[str]:
    found = set()
    for record in records:
        try:
            names = _versions_decoder.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the sink sends it to the dead letters
        found |= {names.price_version, names.plan_version}
    return found
