"""Events → rows: every kind has one, and what a column cannot hold is refused before it stops a block."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from analytics.traffic import Edge, seeded
from tollgate_analytics.rows import CHARGE, CLOSE, COLUMNS, ENDING, UINT32_MAX, AnyEvent, check, columns_of, row_of
from tollgate_common.errors import Poison
from tollgate_common.events import EdgeHeartbeat, RequestClosed, TokensUsed, encode
from tollgate_common.rating import QUANTITY_COLUMNS, TokenCounts

AT = datetime(2026, 11, 23, 5, 51, 16, 123_000, tzinfo=UTC)


def events() -> list[AnyEvent]:
    edge = Edge(seeded(1))
    sent = [*edge.others("acc-a", AT)]
    while len(sent) < 6:
        sent = [*edge.others("acc-a", AT), *edge.request("acc-a", "key-1", AT)]
    return [message.event for message in sent]


def named(event: AnyEvent) -> dict[str, Any]:
    return dict(zip(COLUMNS, row_of(event), strict=True))


def test_every_kind_of_event_has_a_row() -> None:
    rows = [named(event) for event in events()]
    assert [row["kind"] for row in rows] == ["heartbeat", "lease_closed", "void", "opened", "used", "closed"]
    assert [row["account_id"] for row in rows] == ["", *["acc-a"] * 5]
    assert {row["request_id"] for row in rows[:3]} == {""}
    assert len({row["request_id"] for row in rows[3:]}) == 1


def test_a_row_carries_what_its_event_says_and_nothing_else() -> None:
    for event in events():
        row = named(event)
        request = getattr(event, "request", None)
        expected = {
            "at": event.at,
            "account_id": getattr(event, "account_id", ""),
            **({} if request is None else msgspec.structs.asdict(request)),
        }
        if isinstance(event, RequestClosed):
            expected |= {name: getattr(event, name) for name in (*ENDING, *CLOSE)}
            expected["failed_attempts"] = encode(event.failed_attempts).decode() if event.failed_attempts else ""
        if isinstance(event, TokensUsed):
            expected |= {name: getattr(event, name) for name in (*ENDING, *CHARGE)}
            expected |= {QUANTITY_COLUMNS[name]: count for name, count in msgspec.structs.asdict(event.tokens).items()}
        if isinstance(event, EdgeHeartbeat):
            expected["sent"] = msgspec.json.encode(event.sent).decode()
        expected["kind"] = row["kind"]
        assert {name: row[name] for name in expected} == expected
        assert not any(row[name] for name in COLUMNS if name not in expected and name != "opened_at")


def test_columns_are_the_rows_turned() -> None:
    batch = events()
    assert [list(column) for column in zip(*columns_of(batch), strict=True)] == [list(row_of(event)) for event in batch]


def test_what_an_edge_sends_fits() -> None:
    for event in events():
        check(event)


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
