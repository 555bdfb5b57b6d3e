"""usage.v1 → the table of charges.

Guarantee: each event becomes exactly one row, whatever is killed and whenever; the crash windows are the sink's
(`tollgate_common.sink`). A charge is rated again from billing's own catalogue before it becomes a row, so what the edge
stamped and what the catalogue says cannot differ unseen: the event goes to the dead letters with both amounts.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
from aiokafka import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_billing.catalogue import Catalogue, Rating
from tollgate_common.consumer import SESSION_TIMEOUT_MS, Batches, Consumer, Record
from tollgate_common.dead_letters import DeadLetters
from tollgate_common.errors import Poison
from tollgate_common.events import (
    LeaseClosed,
    Outcome,
    RequestDimensions,
    StampedEvent,
    TokensUsed,
    UsageEvent,
    decode_usage,
)
from tollgate_common.rating import QUANTITY_COLUMNS, TokenCounts
from tollgate_common.sink import Sink, Table
from tollgate_common.topics import Topic

# What the columns can hold: the range of DateTime64(3), and of UInt64 less a bit that nothing needs.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
MAX_COUNT = (1 << 63) - 1


class Charge(StampedEvent, frozen=True, kw_only=True):
    """An event as its row: one that charges nothing has no request, no tokens and no amount."""

    kind: str
    account_id: str
    request: RequestDimensions
    lease_id: str = ""
    tokens: TokenCounts = TokenCounts()
    amount_nano: int = 0
    provider_cost_nano: int | None = None
    rating: Rating = Rating()
    price_version: str = ""
    plan_version: str = ""
    outcome: Outcome | str = ""
    finish_reason: str = ""
    estimated: bool = False


# Long enough to keep the parts few; nobody watches charges live.
LINGER_S = 1.0

COLUMNS: dict[str, Callable[[Charge], Any]] = {
    "kind": attrgetter("kind"),
    "at": attrgetter("at"),
    "account_id": attrgetter("account_id"),
    "lease_id": attrgetter("lease_id"),
    **{
        name: attrgetter(f"request.{name}")
        for name in (
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
    },
    "outcome": attrgetter("outcome"),
    "finish_reason": attrgetter("finish_reason"),
    "estimated": attrgetter("estimated"),
    **{column: attrgetter(f"tokens.{name}") for name, column in QUANTITY_COLUMNS.items()},
    "amount_nano": attrgetter("amount_nano"),
    "lines.token_class": lambda charge: [line.token_class for line in charge.rating.lines],
    "lines.quantity": lambda charge: [line.quantity for line in charge.rating.lines],
    "lines.price": lambda charge: [line.price for line in charge.rating.lines],
    "request_nano": attrgetter("rating.request_nano"),
    "multiplier_bps": attrgetter("rating.multiplier_bps"),
    "tier_above_tokens": attrgetter("rating.tier_above_tokens"),
    "provider_cost_nano": attrgetter("provider_cost_nano"),
    "price_version": attrgetter("price_version"),
    "plan_version": attrgetter("plan_version"),
}


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
    return Table("charges", tuple(COLUMNS), lambda record: charge_of(record, catalogue), rows)


def rows(charges: Sequence[Charge]) -> list[list[Any]]:
    return [list(map(value, charges)) for value in COLUMNS.values()]


def charge_of(record: Record, catalogue: Catalogue) -> Charge:
    """The row of one message.

    Raises:
        Poison: it is no usage event, cannot be stored, or is not rated as the catalogue says.
    """
    event = decode_usage(record.value)
    _check_fits(event, record.partition)
    if isinstance(event, TokensUsed):
        return Charge(
            stamp=event.stamp,
            at=event.at,
            kind="charge",
            account_id=event.request.account_id,
            request=event.request,
            lease_id=event.lease_id or "",
            tokens=event.tokens,
            amount_nano=event.amount_nano,
            provider_cost_nano=event.provider_cost_nano,
            rating=catalogue.rate(event),
            price_version=event.price_version,
            plan_version=event.plan_version,
            outcome=event.outcome,
            finish_reason=event.finish_reason,
            estimated=event.estimated,
        )
    is_lease = isinstance(event, LeaseClosed)
    return Charge(
        stamp=event.stamp,
        at=event.at,
        kind="lease_closed" if is_lease else "void",
        account_id=event.account_id,
        lease_id=event.lease_id if isinstance(event, LeaseClosed) else "",
        request=RequestDimensions(request_id="", account_id=event.account_id, key_id="", endpoint="", model=""),
    )


def _check_fits(event: UsageEvent, partition: int) -> None:
    """A value that no column can hold would make its block's insert fail for ever, and all that comes after it wait."""
    if event.at.tzinfo is None or not EARLIEST <= event.at < LATEST:
        raise Poison(f"at is {event.at.isoformat()}; expected a time with its offset from UTC, between 1970 and 2200")
    if event.stamp.partition != partition:
        raise Poison(f"stamped for partition {event.stamp.partition}, but it came in {partition}")
    counts = {"seq": event.stamp.seq}
    if isinstance(event, TokensUsed):
        counts |= msgspec.structs.asdict(event.tokens) | {"provider_cost_nano": event.provider_cost_nano or 0}
    for name, count in counts.items():
        if not 0 <= count <= MAX_COUNT:
            raise Poison(f"{name} is {count}; expected 0 to {MAX_COUNT}")


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
