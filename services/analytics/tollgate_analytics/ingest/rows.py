"""Events → rows of `request_events`, kind by kind and column by column, because every event there is passes here.

What an event's kind does not measure is zero or empty, so that any sum over any rows is right.
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
# From this HTTP status on, a request counts as an error.
FAILED = 400
NOTHING_MEASURED: Mapping[str, Ints] = MappingProxyType({})


def check(event: AnyEvent) -> None:
    """See that the row will go in: one value that its column cannot hold would stop its whole block, for ever.

    Raises:
        Poison: a measure is negative or too large, or a time is none.
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
    """A row of each event.

    Raises:
        Poison: `check` refuses one of them.
    """
    return stacked([(places, COLUMNS_OF[kind](its)) for kind, (places, its) in by_kind(events).items()])


def _opened(events: Sequence[RequestOpened]) -> Columns:
    return {**_happened("opened", events), **request_columns([event.request for event in events])}


def _closed(events: Sequence[RequestClosed]) -> Columns:
    status = numbers([event.status for event in events], UINT32_MAX)
    latency_ms = numbers([event.latency_ms for event in events], UINT32_MAX)
    first_token_ms = optional_numbers([event.first_token_ms for event in events], UINT32_MAX)
    attempts = numbers([event.attempts for event in events], UINT32_MAX)
    measured = {
        "requests": _one(events),
        "errors": (status >= FAILED).astype(np.int64),
        "attempts": attempts,
        "latency_ms": latency_ms,
        "first_token_ms": _or_zero(first_token_ms),
        "first_tokens": np.asarray(first_token_ms.is_valid()).astype(np.int64),
    }
    return {
        **_happened("closed", events, measured),
        **request_columns([event.request for event in events]),
        **_ending(events, status),
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
        **_happened("used", events, measured),
        **request_columns([event.request for event in events]),
        **_ending(events, numbers([event.status for event in events], UINT32_MAX)),
        **quantity_columns(counts),
        "amount_nano": pa.array(amount_nano),
        "estimated": estimated,
        "price_version": names([event.price_version for event in events]),
        "plan_version": names([event.plan_version for event in events]),
        "provider_cost_nano": cost_nano,
    }


def _heartbeats(events: Sequence[EdgeHeartbeat]) -> Columns:
    return {**_happened("heartbeat", events), "sent": texts([encode(event.sent).decode() for event in events])}


def _leases_closed(events: Sequence[LeaseClosed]) -> Columns:
    return {**_happened("lease_closed", events), "account_id": texts([event.account_id for event in events])}


def _voids(events: Sequence[Void]) -> Columns:
    return {**_happened("void", events), "account_id": texts([event.account_id for event in events])}


COLUMNS_OF: Mapping[type[AnyEvent], Callable[[Sequence[Any]], Columns]] = {
    RequestOpened: _opened,
    RequestClosed: _closed,
    EdgeHeartbeat: _heartbeats,
    TokensUsed: _used,
    LeaseClosed: _leases_closed,
    Void: _voids,
}


def _happened(kind: str, events: Sequence[AnyEvent], measured: Mapping[str, Ints] = NOTHING_MEASURED) -> Columns:
    return {
        "kind": name(kind, len(events)),
        "at": moments([event.at for event in events]),
        "measures": arrays(measured, len(events)),
    }


def _ending(events: Sequence[RequestClosed] | Sequence[TokensUsed], status: Ints) -> Columns:
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
