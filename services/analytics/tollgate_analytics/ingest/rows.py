"""The conversion of events to rows of `request_events`.

Every event of the system passes here, so the conversion works on whole columns of one kind of event at a time. A
measure that a kind of event lacks is zero or empty, so a sum over any rows is correct.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import asdict

from tollgate_analytics.measures import arrays
from tollgate_common.clickhouse.columns import (
    INT64_MAX,
    UINT32_MAX,
    Ints,
    by_kind,
    check_moment,
    check_range,
    flags,
    moments,
    name,
    names,
    numbers,
    optional_numbers,
    quantities,
    quantity_columns,
    request_columns,
    stacked,
    texts,
)
from tollgate_common.events import (
    EdgeHeartbeat,
    LeaseClosed,
    RequestClosed,
    RequestEvent,
    RequestOpened,
    TokensUsed,
    UsageEvent,
    Void,
    encode,
)
from tollgate_common.rating import CLASSES, QUANTITY_COLUMNS

AnyEvent = RequestEvent | UsageEvent
Columns = dict[str, pa.Array]
# A request counts as an error from this HTTP status on.
MIN_ERROR_STATUS = 400
NO_MEASURES: Mapping[str, Ints] = MappingProxyType({})


def check(event: AnyEvent) -> None:
    """Check that every column can hold its value; one value that does not fit would block its partition forever.

    Raises:
        Poison: a measure is negative or too large, or a time is invalid.
    """
    check_moment("at", event.at)
    if isinstance(event, RequestClosed):
        check_moment("opened_at", event.opened_at)
        check_range("status", event.status, UINT32_MAX)
        check_range("latency_ms", event.latency_ms, UINT32_MAX)
        check_range("first_token_ms", event.first_token_ms or 0, UINT32_MAX)
        check_range("attempts", event.attempts, UINT32_MAX)
    elif isinstance(event, TokensUsed):
        check_range("status", event.status, UINT32_MAX)
        check_range("amount_nano", event.amount_nano, INT64_MAX)
        check_range("provider_cost_nano", event.provider_cost_nano or 0, INT64_MAX)
        for class_, count in asdict(event.tokens).items():
            check_range(QUANTITY_COLUMNS[class_], count, UINT32_MAX)


def rows(events: Sequence[AnyEvent]) -> pa.RecordBatch:
    """Return one row for each event, in order.

    Raises:
        Poison: `check` rejects one of the events.
    """
    return stacked(
        [(places, COLUMNS_OF[kind](events_of_kind)) for kind, (places, events_of_kind) in by_kind(events).items()]
    )


def _opened(events: Sequence[RequestOpened]) -> Columns:
    return {**_common_columns("opened", events), **request_columns([event.request for event in events])}


def _closed(events: Sequence[RequestClosed]) -> Columns:
    status = numbers([event.status for event in events], UINT32_MAX)
    latency_ms = numbers([event.latency_ms for event in events], UINT32_MAX)
    first_token_ms = optional_numbers([event.first_token_ms for event in events], UINT32_MAX)
    attempts = numbers([event.attempts for event in events], UINT32_MAX)
    measured = {
        "requests": _one(events),
        "errors": (status >= MIN_ERROR_STATUS).astype(np.int64),
        "attempts": attempts,
        "latency_ms": latency_ms,
        "first_token_ms": _or_zero(first_token_ms),
        "first_tokens": np.asarray(first_token_ms.is_valid()).astype(np.int64),
    }
    return {
        **_common_columns("closed", events, measured),
        **request_columns([event.request for event in events]),
        **_outcome_columns(events, status),
        "opened_at": moments([event.opened_at for event in events]),
        "latency_ms": _uint32(latency_ms),
        "first_token_ms": first_token_ms.cast(pa.uint32()),
        "attempts": _uint32(attempts),
        "target": names([event.target for event in events]),
        "failed_attempts": texts(
            [encode(event.failed_attempts).decode() if event.failed_attempts else "" for event in events]
        ),
    }


def _used(events: Sequence[TokensUsed]) -> Columns:
    counts = quantities([event.tokens for event in events], UINT32_MAX)
    amount_nano = numbers([event.amount_nano for event in events], INT64_MAX)
    cost_nano = optional_numbers([event.provider_cost_nano for event in events], INT64_MAX)
    estimated = flags([event.estimated for event in events])
    measured = {
        "answers": _one(events),
        "amount_nano": amount_nano,
        "provider_cost_nano": _or_zero(cost_nano),
        "known_nano": np.where(np.asarray(cost_nano.is_valid()), amount_nano, 0),
        "estimated": np.asarray(estimated).astype(np.int64),
        **dict(zip(CLASSES, counts.T, strict=True)),
    }
    return {
        **_common_columns("used", events, measured),
        **request_columns([event.request for event in events]),
        **_outcome_columns(events, numbers([event.status for event in events], UINT32_MAX)),
        **quantity_columns(counts),
        "amount_nano": pa.array(amount_nano),
        "estimated": estimated,
        "price_version": names([event.price_version for event in events]),
        "plan_version": names([event.plan_version for event in events]),
        "provider_cost_nano": cost_nano,
    }


def _heartbeats(events: Sequence[EdgeHeartbeat]) -> Columns:
    return {**_common_columns("heartbeat", events), "sent": texts([encode(event.sent).decode() for event in events])}


def _leases_closed(events: Sequence[LeaseClosed]) -> Columns:
    return {**_common_columns("lease_closed", events), "account_id": texts([event.account_id for event in events])}


def _voids(events: Sequence[Void]) -> Columns:
    return {**_common_columns("void", events), "account_id": texts([event.account_id for event in events])}


COLUMNS_OF: Mapping[type[AnyEvent], Callable[[Sequence[Any]], Columns]] = {
    RequestOpened: _opened,
    RequestClosed: _closed,
    EdgeHeartbeat: _heartbeats,
    TokensUsed: _used,
    LeaseClosed: _leases_closed,
    Void: _voids,
}


def _common_columns(kind: str, events: Sequence[AnyEvent], measured: Mapping[str, Ints] = NO_MEASURES) -> Columns:
    return {
        "kind": name(kind, len(events)),
        "at": moments([event.at for event in events]),
        "measures": arrays(measured, len(events)),
    }


def _outcome_columns(events: Sequence[RequestClosed] | Sequence[TokensUsed], status: Ints) -> Columns:
    return {
        "outcome": names([event.outcome for event in events]),
        "finish_reason": names([event.finish_reason for event in events]),
        "status": _uint32(status),
        "error_code": names([event.error_code for event in events]),
    }


def _uint32(values: Ints) -> pa.Array:
    return pa.array(values.astype(np.uint32))


def _one(events: Sequence[AnyEvent]) -> Ints:
    return np.ones(len(events), np.int64)


def _or_zero(values: pa.Array) -> Ints:
    return np.asarray(values.fill_null(0))
