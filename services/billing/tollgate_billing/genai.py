"""Prices out of the `genai-prices` package, whose data is bundled: nothing is fetched.

Only what can be charged per token exactly is taken. A price that depends on more than the count of tokens in each of
our classes (a tier by the prompt's length, the hour of the day, seconds of audio) is left out, with the reason: a model
without a price is refused before the call, which is better than a wrong bill.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import NamedTuple

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

from tollgate_common.money import nano_from_decimal
from tollgate_common.rating import Prices

SOURCE = f"genai-prices {version('genai-prices')}"

FIELDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "input_audio_mtok": "audio_input",
    "input_image_mtok": "image_input",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
}
# A cached token is one class for us, whatever it was made of: exact only where these cost the same.
CACHE_READS = ("cache_text_read_mtok", "cache_audio_read_mtok", "cache_image_read_mtok")
# Fees for OpenAI's hosted tools, which chat completions and embeddings do not offer.
HOSTED_TOOLS = {"openai": {"web_searches_kcount", "storage_searches_kcount"}}

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# Models for other endpoints than chat completions and embeddings, and those whose searches cost a fee on top.
NOT_OFFERED = re.compile(
    r"^(text-)?(ada|babbage|curie|davinci)\b|instruct|realtime|transcribe|tts|image|computer-use|-live-|moderation"
    r"|(?<!re)search|deep-research"
)


class Offer(NamedTuple):
    """What a model costs: `versions` are `(valid_from, prices)`, the first in force now, the others to come."""

    model: str
    provider: str
    context_tokens: int | None
    versions: tuple[tuple[datetime, Prices], ...]


class Offers(NamedTuple):
    offers: list[Offer]
    left_out: dict[str, str]
    """Model → why it has no exact price per token."""


class _Inexact(Exception):  # noqa: N818 - what such a price is
    """A price that our classes cannot express; says why."""


def provider_ids() -> list[str]:
    """Every provider that the package knows, to tell a misspelt one from a new one."""
    return [provider.id for provider in _bundled()]


def read_offers(seller_ids: Sequence[str], now: datetime) -> Offers:
    """All models of some providers that can be priced exactly, and why the others cannot.

    A name that two of them offer is the first one's: `claude-*` at Google is Anthropic's model.

    Raises:
        KeyError: there is no such provider.
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
                except _Inexact as reason:
                    left_out[name] = str(reason)
    return Offers(offers, left_out)


def _bundled() -> list[Provider]:
    # 1.6 MB of code, which a service that has its prices already need not load.
    from genai_prices.data import providers

    return providers


def _names(model: ModelInfo) -> list[str]:
    """The names that a client can send: the model's own and its aliases, such as dated snapshots. A rule that matches
    by prefix names nothing, and `gpt-5-1` is how others than the provider spell `gpt-5.1`."""
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
        raise _Inexact("it is no name to call a model by")
    if NOT_OFFERED.search(name):
        raise _Inexact("it is for another endpoint, or has a fee for each search")
    if "openrouter" in (model.price_comments or "").lower():
        raise _Inexact("the price is another seller's")
    versions = tuple(
        (valid_from, _prices(provider.id, name, prices)) for valid_from, prices in _in_time(model.prices, now)
    )
    return Offer(name, provider.id, model.context_window, versions)


def _in_time(prices: ModelPrice | Sequence[ConditionalPrice], now: datetime) -> list[tuple[datetime, ModelPrice]]:
    """The price in force now and those with a start date to come, oldest first."""
    if isinstance(prices, ModelPrice):
        return [(now, prices)]
    dated: list[tuple[datetime, ModelPrice]] = []
    for price in prices:
        if price.constraint is None:
            dated.append((datetime.min.replace(tzinfo=UTC), price.prices))
        elif isinstance(price.constraint, StartDateConstraint):
            dated.append((datetime.combine(price.constraint.start_date, time(), UTC), price.prices))
        else:
            raise _Inexact("its price depends on the time of day")
    # Of the prices that have begun the package takes the last in its list, which is the newest only in this order.
    if [start for start, _ in dated] != sorted(start for start, _ in dated):
        raise _Inexact("its prices are not in the order of their start dates")
    if dated[0][0] > now:
        raise _Inexact("its price has not begun")
    current = max(index for index, (start, _) in enumerate(dated) if start <= now)
    return [(now, dated[current][1]), *dated[current + 1 :]]


def _prices(provider_id: str, name: str, price: ModelPrice) -> Prices:
    usd = {key: value for key, value in vars(price).items() if value is not None}
    for key in HOSTED_TOOLS.get(provider_id, ()):
        usd.pop(key, None)
    if any(isinstance(value, TieredPrices) for value in usd.values()):
        raise _Inexact("its price depends on the length of the prompt")
    for key in CACHE_READS:
        if key in usd and usd.pop(key) != usd.get("cache_read_mtok"):
            raise _Inexact(f"{key} differs from cache_read_mtok")
    per_request = usd.pop("requests_kcount", Decimal(0))
    unknown = sorted(usd.keys() - FIELDS.keys())
    if unknown:
        raise _Inexact(f"it is also charged by {', '.join(unknown)}")
    if "input_mtok" not in usd:
        raise _Inexact("it has no price for input tokens")
    if "audio" in name and "input_audio_mtok" not in usd:
        raise _Inexact("the price of its audio tokens is not in the data")
    nano = {FIELDS[key]: nano_from_decimal(str(value)) for key, value in usd.items()}
    # An embedding model has no output, and so no price for it.
    return Prices(**{"output": 0} | nano, request_nano=nano_from_decimal(str(per_request / 1000)))
