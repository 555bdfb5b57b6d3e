"""Events → rows: every kind has one, and what a column cannot hold is refused before it stops a block."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.traffic import Edge, seeded
from edge.untimed import untimed
from tollgate_analytics.ingest.rows import AnyEvent, check, rows
from tollgate_analytics.measures import MEASURES
from tollgate_common.clickhouse.columns import INT64_MAX, UINT32_MAX
from tollgate_common.errors import Poison
from tollgate_common.events import EdgeHeartbeat, RequestClosed, TokensUsed, encode
from tollgate_common.rating import QUANTITY_COLUMNS, TokenCounts

AT = datetime(2026, 11, 23, 5, 51, 16, 123_000, tzinfo=UTC)
ENDING = ("outcome", "finish_reason", "status", "error_code")
CLOSE = ("opened_at", "latency_ms", "first_token_ms", "attempts", "target")
CHARGE = ("amount_nano", "estimated", "price_version", "plan_version", "provider_cost_nano")


def events() -> list[AnyEvent]:
    """One of each kind."""
    edge = Edge(seeded(1))
    sent = [*edge.others("acc-a", AT)]
    while len(sent) < 6:
        sent = [*edge.others("acc-a", AT), *edge.request("acc-a", "key-1", AT)]
    return [message.event for message in sent]


def named(event: AnyEvent) -> dict[str, Any]:
    [row] = rows([event]).to_pylist()
    return dict(row)


def measures_of(event: AnyEvent) -> list[int]:
    """As `measures.py` names them, without the zeros at the end."""
    measured: dict[str, int] = {}
    if isinstance(event, RequestClosed):
        measured = {name: getattr(event, name) or 0 for name in ("attempts", "latency_ms", "first_token_ms")}
        measured |= {"requests": 1, "errors": event.status >= 400, "first_tokens": event.first_token_ms is not None}
    if isinstance(event, TokensUsed):
        cost_nano = event.provider_cost_nano
        measured = msgspec.structs.asdict(event.tokens) | {"answers": 1, "amount_nano": event.amount_nano}
        measured |= {"provider_cost_nano": cost_nano or 0, "known_nano": 0 if cost_nano is None else event.amount_nano}
        measured["estimated"] = event.estimated
    values = [int(measured.pop(name, 0)) for name in MEASURES]
    assert not measured
    while values and not values[-1]:
        values.pop()
    return values


def test_every_kind_of_event_has_a_row() -> None:
    found = rows(events()).to_pylist()
    assert [row["kind"] for row in found] == ["heartbeat", "lease_closed", "void", "opened", "used", "closed"]
    # What a kind does not have is NULL here, and the column's default in the table.
    assert [row["account_id"] for row in found] == [None, *["acc-a"] * 5]
    assert {row["request_id"] for row in found[:3]} == {None}
    assert len({row["request_id"] for row in found[3:]}) == 1


def test_a_row_carries_what_its_event_says_and_nothing_else() -> None:
    for event in events():
        row = named(event)
        request = getattr(event, "request", None)
        expected = {
            "at": event.at,
            **({} if request is None else msgspec.structs.asdict(request)),
        }
        if hasattr(event, "account_id"):
            expected["account_id"] = event.account_id
        if isinstance(event, RequestClosed):
            expected |= {name: getattr(event, name) for name in (*ENDING, *CLOSE)}
            expected["failed_attempts"] = encode(event.failed_attempts).decode() if event.failed_attempts else ""
        if isinstance(event, TokensUsed):
            expected |= {name: getattr(event, name) for name in (*ENDING, *CHARGE)}
            tokens = msgspec.structs.asdict(event.tokens)
            expected |= {QUANTITY_COLUMNS[name]: count for name, count in tokens.items() if count}
        if isinstance(event, EdgeHeartbeat):
            expected["sent"] = msgspec.json.encode(event.sent).decode()
        assert row.pop("kind")
        assert row.pop("measures") == measures_of(event)
        assert row == expected


@untimed
@given(st.lists(st.sampled_from(events()), min_size=1, max_size=30))
def test_the_rows_of_a_block_are_those_of_its_events(block: list[AnyEvent]) -> None:
    for row, event in zip(rows(block).to_pylist(), block, strict=True):
        alone = named(event)
        assert {name: row[name] for name in alone} == alone
        assert not any(value for name, value in row.items() if name not in alone)


def test_what_an_edge_sends_fits() -> None:
    for event in events():
        check(event)


NUMBERS = st.integers(-1, 9) | st.sampled_from([UINT32_MAX, UINT32_MAX + 1, INT64_MAX, INT64_MAX + 1, 1 << 70])
MOMENTS = st.sampled_from([AT, AT.replace(tzinfo=None), AT.replace(year=1969), AT.replace(year=2200)])
USED = ("status", "amount_nano", "provider_cost_nano")
CLOSED = ("status", "latency_ms", "first_token_ms", "attempts")


@untimed
@given(st.data())
def test_a_block_is_refused_if_any_of_its_events_is(data: st.DataObject) -> None:
    """What `check` says of each is what `rows` says of all."""
    block = events()
    for place, event in enumerate(block):
        changes: dict[str, Any] = {}
        if data.draw(st.booleans()):
            changes["at"] = data.draw(MOMENTS)
        if isinstance(event, TokensUsed) and data.draw(st.booleans()):
            changes[data.draw(st.sampled_from(USED))] = data.draw(NUMBERS)
            changes["tokens"] = TokenCounts(**{data.draw(st.sampled_from(list(QUANTITY_COLUMNS))): data.draw(NUMBERS)})
        if isinstance(event, RequestClosed) and data.draw(st.booleans()):
            changes[data.draw(st.sampled_from(CLOSED))] = data.draw(NUMBERS)
            changes["opened_at"] = data.draw(MOMENTS)
        block[place] = msgspec.structs.replace(event, **changes)
    fit = True
    for event in block:
        try:
            check(event)
        except Poison:
            fit = False
    if fit:
        assert rows(block).num_rows == len(block)
    else:
        with pytest.raises(Poison):
            rows(block)


@pytest.mark.parametrize(
    ("measure", "value"),
    [("status", -1), ("latency_ms", UINT32_MAX + 1), ("first_token_ms", -5), ("attempts", 1 << 70)],
)
def test_a_close_that_does_not_fit_is_poison(measure: str, value: int) -> None:
    closed = next(event for event in events() if isinstance(event, RequestClosed))
    with pytest.raises(Poison, match=f"{measure} is {value}; expected 0 to 4294967295"):
        check(msgspec.structs.replace(closed, **{measure: value}))


def test_usage_that_does_not_fit_is_poison() -> None:
    used = next(event for event in events() if isinstance(event, TokensUsed))
    with pytest.raises(Poison, match="reasoning_tokens is -1; expected 0 to 4294967295"):
        check(msgspec.structs.replace(used, tokens=TokenCounts(reasoning=-1)))
    for amount_nano in (-1, 1 << 63):
        with pytest.raises(Poison, match=f"amount_nano is {amount_nano}; expected"):
            check(msgspec.structs.replace(used, amount_nano=amount_nano))
    with pytest.raises(Poison, match=r"at is 2026-11-23T05:51:16\.123000; expected a time with its offset"):
        check(msgspec.structs.replace(used, at=AT.replace(tzinfo=None)))
