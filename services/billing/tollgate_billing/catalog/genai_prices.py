"""Prices from the `genai-prices` package, whose data is bundled, so that nothing is downloaded.

Only prices that can be charged exactly are imported. A price that depends on more than the count of each token class
and the length of the prompt (such as the hour of the day, or tokens of video) is left out, with a reason. Edges reject
a model without a price before the call, which is better than a wrong bill.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import NamedTuple

import msgspec
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)

from tollgate_common.money import divide_half_up, nano_from_decimal
from tollgate_common.rating import TOKENS_PER_PRICE, Prices, Tier

SECONDS_PER_HOUR = 3600
SOURCE = f"genai-prices {version('genai-prices')}"

FIELDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_audio_read_mtok": "cached_audio_input",
    "cache_image_read_mtok": "cached_image_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "input_image_mtok": "image_input",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "input_mchars": "characters",
}
# The data has a price per hour of audio. Our prices are per million seconds.
AUDIO_HOURS = "input_audio_hours"
# Fields that repeat another price for other readers of the data. Both must have the same value.
REPEATED = {"cache_text_read_mtok": "cache_read_mtok", "audio_hours": AUDIO_HOURS}
# Fees of hosted tools (file and web search), which no endpoint offers. Our search units are those of reranking.
HOSTED_TOOLS = ("storage_searches_kcount", "web_searches_kcount")

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# Models that are retired, that need a WebSocket, that are part of a hosted tool, or whose searches have a fee that is
# not in their usage.
NOT_OFFERED = re.compile(
    r"^(ada|babbage|curie|davinci)$|^text-(ada|babbage|curie|davinci)|realtime|computer-use|-live(-|$)|moderation"
    r"|(?<!re)search|deep-research"
)


class Offer(NamedTuple):
    """The prices of a model. `versions` are pairs `(valid_from, prices)`: the one in force, then the scheduled ones."""

    model: str
    provider: str
    context_tokens: int | None
    versions: tuple[tuple[datetime, Prices], ...]
    source: str = SOURCE


class Offers(NamedTuple):
    offers: list[Offer]
    left_out: dict[str, str]
    """By model, the reason why it has no exact price."""


class _InexactPriceError(Exception):
    """A price that our token classes cannot express. The message is the reason."""


def provider_ids() -> list[str]:
    """List the providers in the package, to distinguish a misspelled one from a new one."""
    return [provider.id for provider in _bundled()]


def read_offers(seller_ids: Sequence[str], now: datetime) -> Offers:
    """Return the models of some providers that can be priced exactly, and for the others the reason.

    If two providers offer a name, the first one owns it: `claude-*` at Google is Anthropic's model.

    Raises:
        KeyError: the package has no such provider.
    """
    by_id = {provider.id: provider for provider in _bundled()}
    sellers = [by_id[provider_id] for provider_id in seller_ids]
    offers: list[Offer] = []
    left_out: dict[str, str] = {}
    for position, provider in enumerate(sellers):
        for model in provider.models:
            for name in _names(model):
                if any(earlier.find_model(name) is not None for earlier in sellers[:position]):
                    continue
                try:
                    offers.append(_offer(provider, model, name, now))
                except _InexactPriceError as reason:
                    left_out[name] = str(reason)
    return Offers(offers, left_out)


def _bundled() -> list[Provider]:
    # Imported here, because it is 1.6 MB of code that a service with a filled catalog does not need.
    from genai_prices.data import providers

    return providers


def _names(model: ModelInfo) -> list[str]:
    """Return the names that a client can send: the model's name and its aliases, such as dated snapshots.

    A rule that matches by prefix contains no name. `gpt-5-1` is how other sellers than the provider spell `gpt-5.1`.
    """
    names = {model.id, *_equal_names(model.match)}
    misspelt = {name.replace(".", other) for name in names if "." in name for other in ("", "-")}
    return sorted(names - misspelt)


def _equal_names(clause: MatchLogic) -> Iterator[str]:
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _equal_names(part)


def _offer(provider: Provider, model: ModelInfo, name: str, now: datetime) -> Offer:
    if NAME.fullmatch(name) is None or provider.find_model(name) is not model:
        raise _InexactPriceError("it is not a name that a request can use")
    if NOT_OFFERED.search(name):
        raise _InexactPriceError("it is retired, belongs to another endpoint, or has a fee for each search")
    if "openrouter" in (model.price_comments or "").lower():
        raise _InexactPriceError("the price is that of another seller")
    versions = tuple((valid_from, _prices(name, prices)) for valid_from, prices in _in_time(model.prices, now))
    return Offer(name, provider.id, model.context_window, versions)


def _in_time(prices: ModelPrice | Sequence[ConditionalPrice], now: datetime) -> list[tuple[datetime, ModelPrice]]:
    """Return the price in force now and those with a future start date, oldest first."""
    if isinstance(prices, ModelPrice):
        return [(now, prices)]
    dated: list[tuple[datetime, ModelPrice]] = []
    for price in prices:
        if price.constraint is None:
            dated.append((datetime.min.replace(tzinfo=UTC), price.prices))
        elif isinstance(price.constraint, StartDateConstraint):
            dated.append((datetime.combine(price.constraint.start_date, time(), UTC), price.prices))
        else:
            raise _InexactPriceError("its price depends on the time of day")
    # The package uses the last started price in its list, which is the newest only if the list is in this order.
    if [start for start, _ in dated] != sorted(start for start, _ in dated):
        raise _InexactPriceError("its prices are not in the order of their start dates")
    if dated[0][0] > now:
        raise _InexactPriceError("its price is not in force yet")
    current = max(index for index, (start, _) in enumerate(dated) if start <= now)
    return [(now, dated[current][1]), *dated[current + 1 :]]


def _prices(name: str, price: ModelPrice) -> Prices:
    usd = {key: value for key, value in vars(price).items() if value is not None and key not in HOSTED_TOOLS}
    for key, said_as in REPEATED.items():
        if key in usd and usd.setdefault(said_as, usd[key]) != usd.pop(key):
            raise _InexactPriceError(f"{key} differs from {said_as}")
    unknown = sorted(usd.keys() - FIELDS.keys() - {AUDIO_HOURS, "requests_kcount"})
    if unknown:
        raise _InexactPriceError(f"it is also charged by {', '.join(unknown)}")
    if not usd.keys() & {"input_mtok", "input_mchars", AUDIO_HOURS}:
        raise _InexactPriceError("it has no price for input tokens")
    if "audio" in name and "input_audio_mtok" not in usd:
        raise _InexactPriceError("the price of its audio tokens is not in the data")
    bounds = sorted({tier.start for value in usd.values() if isinstance(value, TieredPrices) for tier in value.tiers})
    tiers = tuple(Tier(bound, _prices_above(usd, bound)) for bound in bounds)
    return msgspec.structs.replace(_prices_above(usd, 0), tiers=tiers)


def _prices_above(usd: Mapping[str, Decimal | TieredPrices], bound: int) -> Prices:
    """Return the prices of a prompt just above `bound` tokens. The package also applies a tier to the whole prompt."""
    flat = {key: _in_tier(value, bound) for key, value in usd.items()}
    nano = {FIELDS[key]: nano_from_decimal(str(value)) for key, value in flat.items() if key in FIELDS}
    if AUDIO_HOURS in flat:
        millionths = nano_from_decimal(str(flat[AUDIO_HOURS])) * TOKENS_PER_PRICE
        nano["audio_seconds"] = divide_half_up(millionths, SECONDS_PER_HOUR)
    # An embedding model has no price for output. A model that is sold by units has no price for tokens.
    return Prices(
        **{"input": 0, "output": 0} | nano,
        tiers=(),
        request_nano=nano_from_decimal(str(flat.get("requests_kcount", Decimal(0)) / 1000)),
    )


def _in_tier(value: Decimal | TieredPrices, bound: int) -> Decimal:
    if not isinstance(value, TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if bound >= tier.start), value.base)
