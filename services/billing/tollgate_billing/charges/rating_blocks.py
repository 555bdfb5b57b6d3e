"""`catalog.rating.check_rating` for many events at once: the same amounts, in exact integers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tollgate_billing.catalog.rating import Versions
from tollgate_common.clickhouse.columns import INT64_MAX, Ints
from tollgate_common.errors import Poison
from tollgate_common.rating import BASIS_POINTS, CLASSES, PROMPT_CLASSES, TOKENS_PER_PRICE, Prices, Unpriced

UNPRICED = -1
DENOMINATOR = TOKENS_PER_PRICE * BASIS_POINTS
_PROMPT = [CLASSES.index(name) for name in PROMPT_CLASSES]

# int64 where nothing can overflow, otherwise Python integers, which are slower and unbounded.
Exact = npt.NDArray[Any]


class RatedBlock(NamedTuple):
    """The factors of each charge's amount: one entry, or row, an event."""

    prices: Ints
    """Nano-units per million of each of `CLASSES`."""
    request_nano: Ints
    multiplier_bps: Ints
    tier_above_tokens: Ints


class _Tier(NamedTuple):
    above_tokens: int
    request_nano: int
    prices: list[int]


def rate_block(
    counts: Ints,
    amounts: Ints,
    price_versions: pa.DictionaryArray,
    plan_versions: pa.DictionaryArray,
    catalog: Versions,
) -> RatedBlock:
    """Rate a block of events by the versions that they name.

    Args:
        counts: a row an event, a column of each of `CLASSES`, none negative.
        amounts: the amounts of the events, in nano-units.
        price_versions: one an event.
        plan_versions: one an event.
        catalog: all price versions and all plans' multipliers.

    Raises:
        Poison: a version is unknown, a used class has no price in it, or an amount differs from what its versions
            yield for its counts.
    """
    prices, multipliers = catalog
    versions = [_known(prices, version) for version in price_versions.dictionary.to_pylist()]
    factors = np.array([_known(multipliers, version) for version in plan_versions.dictionary.to_pylist()], np.int64)
    if (factors < 0).any():
        raise Poison("a plan's multiplier is negative")
    multiplier_bps = factors[np.asarray(plan_versions.indices)]
    tiers, chosen = _choose(versions, np.asarray(price_versions.indices), counts)
    by_tier = np.array([tier.prices for tier in tiers], np.int64).reshape(len(tiers), len(CLASSES))
    its_prices = by_tier[chosen]
    if ((its_prices == UNPRICED) & (counts != 0)).any():
        raise Poison("a used token class has no price in its price version")
    request_nano = np.array([tier.request_nano for tier in tiers], np.int64)[chosen]
    if (_amounts(counts, its_prices, request_nano, multiplier_bps) != amounts).any():
        raise Poison("an amount differs from what its price and plan versions yield")
    above = np.array([tier.above_tokens for tier in tiers], np.int64)[chosen]
    return RatedBlock(its_prices, request_nano, multiplier_bps, above)


def _known(versions: Mapping[str, Any], version: str) -> Any:
    if version not in versions:
        raise Poison(f"version {version!r} is not in the catalog")
    return versions[version]


def _choose(versions: Sequence[Prices], version_of: Ints, counts: Ints) -> tuple[list[_Tier], Ints]:
    """Return all tiers of these versions, and the index of the tier of each event's prompt."""
    tiers: list[_Tier] = []
    first = []
    for version in versions:
        first.append(len(tiers))
        tiers.append(_tier(0, version))
        tiers.extend(_tier(tier.above_tokens, tier.prices) for tier in version.tiers)
    chosen = np.array(first, np.int64)[version_of]
    if len(tiers) > len(versions):
        prompts = _exact(counts, int(counts.max()) * len(_PROMPT))[:, _PROMPT].sum(axis=1)
        for number, version in enumerate(versions):
            for tier in version.tiers:
                # Bounds increase, so each exceeded one advances by one tier.
                chosen += (version_of == number) & (prompts > tier.above_tokens)
    return tiers, chosen


def _tier(above_tokens: int, prices: Prices) -> _Tier:
    return _Tier(above_tokens, prices.request_nano, [_price(prices, class_) for class_ in CLASSES])


def _price(prices: Prices, class_: str) -> int:
    try:
        return prices.of(class_)
    except Unpriced:
        return UNPRICED


def _amounts(counts: Ints, prices: Ints, request_nano: Ints, multiplier_bps: Ints) -> Exact:
    """`divide_half_up((Σ counts × prices + request_nano × 10^6) × multiplier_bps, 10^10)` of each row.

    The whole part of the division is taken before the multiplication, so that an int64 is enough for realistic amounts.
    """
    most = sum(int(a) * int(b) for a, b in zip(counts.max(axis=0), prices.max(axis=0), strict=True) if b > 0)
    most += int(request_nano.max()) * TOKENS_PER_PRICE
    highest = int(multiplier_bps.max())
    bound = max(most, (most // DENOMINATOR + 2) * highest, DENOMINATOR * (highest + 1))
    counts, prices = _exact(counts, bound), _exact(prices, bound)
    request_nano, multiplier_bps = _exact(request_nano, bound), _exact(multiplier_bps, bound)
    total = (counts * prices).sum(axis=1) + request_nano * TOKENS_PER_PRICE
    whole, rest = total // DENOMINATOR, total % DENOMINATOR
    amounts: Exact = whole * multiplier_bps + (rest * multiplier_bps + DENOMINATOR // 2) // DENOMINATOR
    return amounts


def _exact(array: Ints, bound: int) -> Exact:
    return array if bound <= INT64_MAX else array.astype(object)
