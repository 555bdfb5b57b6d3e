"""Events of usage.v1 → rows of `charges`, column by column, because every charge passes here.

Each charge is rated again. The row of an event without a charge has no request, no tokens and no amount.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import asdict

from tollgate_billing.catalog.rating import Versions
from tollgate_billing.charges.rating_blocks import RatedBlock, rate_block
from tollgate_common.clickhouse.columns import (
    INT64_MAX,
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
    unsigned,
)
from tollgate_common.events import LeaseClosed, TokensUsed, UsageEvent, Void
from tollgate_common.rating import CLASSES


def check_fits(event: UsageEvent) -> None:
    """Check that the columns can hold the event. Otherwise the insert of its block would fail forever.

    Raises:
        Poison: a value is out of range.
    """
    check_moment("at", event.at)
    if isinstance(event, TokensUsed):
        for measure, count in {"provider_cost_nano": event.provider_cost_nano or 0, **asdict(event.tokens)}.items():
            check_range(measure, count, INT64_MAX)


def rows(events: Sequence[UsageEvent], versions: Versions) -> pa.RecordBatch:
    """Return one row for each event.

    Raises:
        Poison: `check_fits` or `check_rating` rejects one of them.
    """
    return stacked([(places, _columns(kind, its, versions)) for kind, (places, its) in by_kind(events).items()])


def _columns(kind: type[UsageEvent], events: Sequence[Any], versions: Versions) -> dict[str, pa.Array]:
    if kind is TokensUsed:
        return _charges(events, versions)
    return _leases_closed(events) if kind is LeaseClosed else _voids(events)


def _charges(events: Sequence[TokensUsed], versions: Versions) -> dict[str, pa.Array]:
    counts = quantities([event.tokens for event in events], INT64_MAX)
    amounts = numbers([event.amount_nano for event in events], INT64_MAX)
    price_versions = names([event.price_version for event in events])
    plan_versions = names([event.plan_version for event in events])
    rated = rate_block(counts, amounts, price_versions, plan_versions, versions)
    return {
        "kind": name("charge", len(events)),
        "at": moments([event.at for event in events]),
        "lease_id": texts([event.lease_id or "" for event in events]),
        **request_columns([event.request for event in events]),
        "outcome": names([event.outcome for event in events]),
        "finish_reason": names([event.finish_reason for event in events]),
        "estimated": flags([event.estimated for event in events]),
        **quantity_columns(counts),
        "amount_nano": pa.array(amounts),
        "price_version": price_versions,
        "plan_version": plan_versions,
        "provider_cost_nano": optional_numbers([event.provider_cost_nano for event in events], INT64_MAX),
        **_lines(counts, rated),
        "request_nano": pa.array(rated.request_nano),
        "multiplier_bps": pa.array(rated.multiplier_bps).cast(pa.uint32()),
        "tier_above_tokens": unsigned(rated.tier_above_tokens),
    }


def _lines(counts: Ints, rated: RatedBlock) -> dict[str, pa.Array]:
    """Return the lines of each charge: the used classes with their prices."""
    is_used = counts != 0
    ends = np.cumsum(is_used.sum(axis=1), dtype=np.int32)
    offsets = pa.array(np.concatenate([np.zeros(1, np.int32), ends]))
    classes = pa.DictionaryArray.from_arrays(pa.array(np.nonzero(is_used)[1].astype(np.int32)), pa.array(CLASSES))
    return {
        "lines.token_class": pa.ListArray.from_arrays(offsets, classes),
        "lines.quantity": pa.ListArray.from_arrays(offsets, unsigned(counts[is_used])),
        "lines.price": pa.ListArray.from_arrays(offsets, pa.array(rated.prices[is_used])),
    }


def _leases_closed(events: Sequence[LeaseClosed]) -> dict[str, pa.Array]:
    return _without_charge("lease_closed", events) | {"lease_id": texts([event.lease_id for event in events])}


def _voids(events: Sequence[Void]) -> dict[str, pa.Array]:
    return _without_charge("void", events)


def _without_charge(kind: str, events: Sequence[LeaseClosed | Void]) -> dict[str, pa.Array]:
    return {
        "kind": name(kind, len(events)),
        "at": moments([event.at for event in events]),
        "account_id": texts([event.account_id for event in events]),
    }
