"""The measures that reports add up, and their positions in the arrays `measures` of the store."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tollgate_common.clickhouse.columns import Ints
from tollgate_common.rating import TokenCounts


class Counts(NamedTuple):
    requests: int
    errors: int
    attempts: int
    latency_ms: int
    first_token_ms: int
    first_tokens: int
    estimated: int


QUANTITIES = TokenCounts.__struct_fields__
# The order of the stored arrays: append new measures at the end. Trailing zeros are not stored.
MEASURES = (
    "requests",
    "errors",
    "attempts",
    "latency_ms",
    "first_token_ms",
    "first_tokens",
    "answers",
    "amount_nano",
    "provider_cost_nano",
    "known_nano",
    "input",
    "cached_input",
    "output",
    "reasoning",
    "cache_write",
    "estimated",
    "cache_write_1h",
    "audio_input",
    "image_input",
    "audio_output",
    "cached_audio_input",
    "cached_image_input",
    "image_output",
    "images",
    "audio_seconds",
    "characters",
    "searches",
)

# Precomputed positions, because a report may convert thousands of arrays.
_counts = itemgetter(*map(MEASURES.index, Counts._fields))
_quantities = itemgetter(*map(MEASURES.index, QUANTITIES))
_amount_nano = itemgetter(MEASURES.index("amount_nano"))


def measures_by_name(sums: Sequence[int]) -> dict[str, int]:
    """Return the values of a stored array by name."""
    return dict(zip(MEASURES, [*sums, *[0] * (len(MEASURES) - len(sums))], strict=True))


def arrays(measured: Mapping[str, Ints], size: int) -> pa.ListArray:
    """Return the arrays of `size` rows. `measured` has a column of values by name; all other measures are zero."""
    rows = np.zeros((size, len(MEASURES)), np.int64)
    for name, values in measured.items():
        rows[:, MEASURES.index(name)] = values
    is_set = rows != 0
    lengths = np.where(is_set.any(axis=1), len(MEASURES) - is_set[:, ::-1].argmax(axis=1), 0)
    ends = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, rows[np.arange(len(MEASURES)) < lengths[:, np.newaxis]])


class Measures(NamedTuple):
    """The measures of some events. Measures can be added up."""

    counts: Counts
    tokens: TokenCounts
    amount_nano: int

    @staticmethod
    def of_sums(sums: Sequence[int]) -> "Measures":
        whole = [*sums, *[0] * (len(MEASURES) - len(sums))]
        return Measures(Counts(*_counts(whole)), TokenCounts(*_quantities(whole)), _amount_nano(whole))

    @staticmethod
    def total(parts: "Sequence[Measures]") -> "Measures":
        return Measures(
            Counts(*(sum(part.counts[index] for part in parts) for index in range(len(Counts._fields)))),
            TokenCounts(**{name: sum(getattr(part.tokens, name) for part in parts) for name in QUANTITIES}),
            sum(part.amount_nano for part in parts),
        )


class MarginSum(NamedTuple):
    name: str
    requests: int
    errors: int
    attempts: int
    revenue_nano: int
    known_nano: int
    cost_nano: int

    @staticmethod
    def of_sums(name: str, sums: Sequence[int]) -> "MarginSum":
        by_name = measures_by_name(sums)
        return MarginSum(
            name,
            by_name["requests"],
            by_name["errors"],
            by_name["attempts"],
            by_name["amount_nano"],
            by_name["known_nano"],
            by_name["provider_cost_nano"],
        )
