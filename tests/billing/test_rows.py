"""Charges column by column: a block is refused where one of its events would be, and rated to the last nano-unit."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_billing.catalog.rating import MAX_AMOUNT_NANO, Versions, check_rating
from tollgate_billing.charges.rows import check_fits, rows
from tollgate_common.errors import Poison
from tollgate_common.events import LeaseClosed, Outcome, RequestDimensions, TokensUsed, UsageEvent, Void
from tollgate_common.rating import CLASSES, QUANTITY_COLUMNS, UNIT_CLASSES, Prices, Tier, TokenCounts, Unpriced, rate
from tollgate_common.sequence import Stamp

AT = datetime(2026, 11, 23, 5, 51, 16, 123_456, tzinfo=UTC)
STAMP = Stamp("boot", 0, 0)
PRICES = st.integers(0, 9) | st.integers(0, 10**11) | st.integers(0, 1 << 62)
COUNTS = st.integers(0, 5) | st.integers(0, 10**6) | st.sampled_from([1 << 31, 1 << 62, (1 << 63) - 1])
ODD_COUNTS = st.sampled_from([-1, 1 << 63, 1 << 70])


@st.composite
def prices(draw: st.DrawFn, *, tiered: bool = True) -> Prices:
    named = draw(st.dictionaries(st.sampled_from([*CLASSES, "request_nano"]), PRICES, max_size=5))
    if tiered:
        for unit in UNIT_CLASSES:
            named.pop(unit, None)
    version = msgspec.structs.replace(Prices(input=draw(PRICES), output=draw(PRICES)), **named)
    if not tiered:
        return version
    bounds = sorted(draw(st.sets(st.integers(1, 2 * 10**6), max_size=3)))
    other = prices(tiered=False).map(lambda found: msgspec.structs.replace(found, **dict.fromkeys(UNIT_CLASSES)))
    return msgspec.structs.replace(version, tiers=tuple(Tier(bound, draw(other)) for bound in bounds))


@dataclasses.dataclass
class Catalog:
    prices: dict[str, Prices]
    multipliers: dict[str, int]

    @property
    def versions(self) -> Versions:
        return self.prices, self.multipliers


CATALOGUES = st.builds(
    Catalog,
    st.fixed_dictionaries({"p1": prices(), "p2": prices(tiered=False), "p3": prices()}),
    st.fixed_dictionaries({"standard@1": st.just(10_000), "other@1": st.integers(0, 100_000)}),
)


def used(catalog: Catalog, price_version: str, plan_version: str, tokens: TokenCounts, **changes: Any) -> TokensUsed:
    """With the right amount, where there is one."""
    try:
        amount_nano = rate(tokens, catalog.prices[price_version], catalog.multipliers[plan_version]).amount_nano
    except (Unpriced, ValueError, KeyError):
        amount_nano = 0
    event = TokensUsed(
        stamp=STAMP,
        at=AT,
        request=RequestDimensions(request_id="r", account_id="a", key_id="k", endpoint="/v1", model="m", client="c"),
        tokens=tokens,
        amount_nano=amount_nano,
        price_version=price_version,
        plan_version=plan_version,
        outcome=Outcome.CUT_OFF,
    )
    return msgspec.structs.replace(event, **changes)


CHANGES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"at": AT.replace(tzinfo=None)},
        {"at": AT.replace(year=1969)},
        {"at": AT.replace(year=2200)},
        {"amount_nano": 1},
        {"amount_nano": -1},
        {"amount_nano": 1 << 70},
        {"provider_cost_nano": -1},
        {"provider_cost_nano": 1 << 63},
        {"price_version": "p9"},
        {"plan_version": "gold@1"},
    ]
)
# Most blocks have nothing that is wrong.
RARELY = st.integers(0, 19).map(lambda number: number == 0)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Catalog, list[UsageEvent]]:
    catalog = draw(CATALOGUES)
    events: list[UsageEvent] = []
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.integers(0, 5))
        if kind == 0:
            events.append(LeaseClosed(stamp=STAMP, at=AT, account_id="b", lease_id="lease", spent_nano=7))
        elif kind == 1:
            events.append(Void(stamp=STAMP, at=AT, account_id="c", reason="none"))
        else:
            counts = draw(st.dictionaries(st.sampled_from(CLASSES), COUNTS, max_size=5))
            if draw(RARELY):
                counts[draw(st.sampled_from(CLASSES))] = draw(ODD_COUNTS)
            price, plan = draw(st.sampled_from(["p1", "p2", "p3"])), draw(st.sampled_from(["standard@1", "other@1"]))
            cost = {"provider_cost_nano": draw(st.none() | st.integers(0, 1 << 62))}
            changes = draw(CHANGES) if draw(RARELY) else {}
            event = used(catalog, price, plan, TokenCounts(**counts), **cost)
            events.append(msgspec.structs.replace(event, **changes))
    return catalog, events


def check(event: UsageEvent, catalog: Catalog) -> dict[str, Any]:
    """What its row says, event by event: only what is not its kind's default."""
    check_fits(event)
    if not isinstance(event, TokensUsed):
        kind, lease_id = ("lease_closed", event.lease_id) if isinstance(event, LeaseClosed) else ("void", None)
        return {"kind": kind, "account_id": event.account_id, "lease_id": lease_id}
    rating = check_rating(event, *catalog.versions)
    return {
        "kind": "charge",
        "account_id": "a",
        "lease_id": "",
        "client": "c",
        "stream": False,
        "outcome": "cut_off",
        "amount_nano": event.amount_nano,
        "price_version": event.price_version,
        "provider_cost_nano": event.provider_cost_nano,
        **{QUANTITY_COLUMNS[line.token_class]: line.quantity for line in rating.lines},
        "lines.token_class": [line.token_class for line in rating.lines],
        "lines.quantity": [line.quantity for line in rating.lines],
        "lines.price": [line.price for line in rating.lines],
        "request_nano": rating.request_nano,
        "multiplier_bps": rating.multiplier_bps,
        "tier_above_tokens": rating.tier_above_tokens,
    }


@untimed
@given(blocks())
def test_a_block_says_what_its_events_say_one_by_one(block: tuple[Catalog, list[UsageEvent]]) -> None:
    catalog, events = block
    try:
        expected = [check(event, catalog) for event in events]
    except Poison:
        with pytest.raises(Poison):
            rows(events, catalog.versions)
        return
    for row, event, should in zip(rows(events, catalog.versions).to_pylist(), events, expected, strict=True):
        assert row["at"] == event.at.replace(microsecond=123_000)
        assert {name: row.get(name) for name in should} == should
        quantities = {name for name in QUANTITY_COLUMNS.values() if row.get(name)}
        assert quantities == {name for name in QUANTITY_COLUMNS.values() if should.get(name)}


def test_an_amount_that_int64_cannot_hold_on_the_way_is_exact() -> None:
    catalog = Catalog({"p1": Prices(input=(1 << 62) + 1, output=1)}, {"standard@1": 10_000})
    event = used(catalog, "p1", "standard@1", TokenCounts(input=1_999_999))
    assert 1 << 62 < event.amount_nano < MAX_AMOUNT_NANO
    assert rows([event], catalog.versions).to_pylist()[0]["amount_nano"] == event.amount_nano
    with pytest.raises(Poison):
        rows([msgspec.structs.replace(event, amount_nano=event.amount_nano + 1)], catalog.versions)


def test_the_tier_begins_above_its_bound() -> None:
    tiers = (Tier(100, Prices(input=3, output=0)), Tier(200, Prices(input=5, output=0)))
    catalog = Catalog({"p1": Prices(input=2, output=0, tiers=tiers)}, {"standard@1": 10_000})
    events = [used(catalog, "p1", "standard@1", TokenCounts(input=count)) for count in (100, 101, 200, 201)]
    found = rows(events, catalog.versions).to_pylist()
    assert [(row["tier_above_tokens"], row["lines.price"]) for row in found] == [
        (0, [2]),
        (100, [3]),
        (100, [3]),
        (200, [5]),
    ]
