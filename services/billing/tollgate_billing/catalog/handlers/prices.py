"""Prices of models: set one, schedule one, correct one by a new version, and tell what was believed when."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from tollgate_billing.catalog import genai_prices, store
from tollgate_billing.catalog.handlers.publishing import record_prices
from tollgate_billing.catalog.handlers.validation import (
    check_currency,
    check_free,
    check_name,
    moment,
    refusal,
    similar,
    unknown_model,
)
from tollgate_billing.catalog.store import NewPrice, StoredModel, StoredPrice
from tollgate_common.postgres.connection import Connection, Pool
from tollgate_common.rating import PRICED, Prices, Tier

OPERATOR = "operator"
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
MAX_NANO = (1 << 63) - 1


class TierCommand(NamedTuple):
    """What a longer prompt costs: only what differs from the version's own prices."""

    above_tokens: int
    prices: Mapping[str, int]


class PriceCommand(NamedTuple):
    """An operator's wish. `is_new_model` and `is_new_provider` say that an unknown name is no mistake."""

    model: str
    provider: str
    valid_from: datetime | None
    prices: Mapping[str, int]
    context_tokens: int | None
    is_new_model: bool
    is_new_provider: bool
    tiers: Sequence[TierCommand] = ()
    cost: Mapping[str, int] | None = None
    cost_tiers: Sequence[TierCommand] = ()
    keeps_cost: bool = True
    """Where no cost is named: whether it stays what it was, or is not known any more."""
    is_correction: bool = False
    currency: str = "USD"


async def add_price(pool: Pool, command: PriceCommand, now: datetime) -> StoredPrice:
    """Set a model's price from now on, from a moment to come, or, as a correction, from a moment past.

    Raises:
        Problem: something about it is wrong; says what, and what would be right.
    """
    check_currency(command.currency)
    valid_from = moment(command.valid_from, now, is_correction=command.is_correction)
    prices = _prices("prices", command.prices, "tiers", command.tiers)
    cost = None
    if command.cost is not None:
        cost = _prices("cost", command.cost, "cost_tiers", command.cost_tiers)
    elif command.cost_tiers:
        raise refusal("cost_missing", "cost", "there are cost_tiers, but no cost below them")
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalog(connection)
        _check_names(command, await store.providers_by_model(connection))
        known = (await store.models(connection, command.model)).get(command.model)
        versions = [] if known is None else known.versions
        check_free(
            valid_from,
            [(version.price_version, version.valid_from) for version in versions],
            is_correction=command.is_correction,
        )
        if cost is None and command.keeps_cost and known is not None:
            before = known.in_force(valid_from)
            cost = None if before is None else before.cost
        new = NewPrice(
            command.model,
            command.provider,
            command.context_tokens,
            valid_from,
            OPERATOR,
            prices,
            cost,
            is_correction=command.is_correction,
        )
        return (await record_prices(connection, [new], now))[0]


async def list_prices(pool: Pool, model: str | None) -> list[StoredModel]:
    """One model, or all, with every version of their prices.

    Raises:
        Problem: there is no such model.
    """
    async with pool.connection() as connection:
        found = await store.models(connection, *([] if model is None else [model]))
        await _check_found(connection, model, found)
    return list(found.values())


async def prices_believed(pool: Pool, model: str | None, at: datetime, as_of: datetime) -> list[StoredModel]:
    """What was believed at `as_of` about the price at `at`: each model with that version, if there was one.

    Raises:
        Problem: there is no such model.
    """
    async with pool.connection() as connection:
        found = await store.prices_believed(connection, model, at, as_of)
        if not found:
            await _check_found(connection, model, await store.models(connection, *([] if model is None else [model])))
    return list(found.values())


async def _check_found(connection: Connection, model: str | None, found: Mapping[str, StoredModel]) -> None:
    if model is not None and not found:
        raise unknown_model(model, sorted(await store.providers_by_model(connection)))


def _prices(field: str, prices: Mapping[str, int], tiers_field: str, tiers: Sequence[TierCommand]) -> Prices:
    _check_prices(field, prices)
    for name in ("input", "output"):
        if name not in prices:
            raise refusal(
                "price_missing", f"{field}.{name}", f"there is no price of {name}; give one, 0 if it costs nothing"
            )
    for number, tier in enumerate(tiers):
        _check_prices(f"{tiers_field}.{number}.prices", tier.prices)
    try:
        return Prices(
            **prices,
            tiers=tuple(Tier(tier.above_tokens, Prices(**{**prices, **tier.prices}, tiers=())) for tier in tiers),
        )
    except ValueError as error:
        raise refusal("invalid_tiers", tiers_field, str(error)) from error


def _check_prices(field: str, prices: Mapping[str, int]) -> None:
    for name, nano in prices.items():
        if name not in PRICED:
            raise refusal(
                "unknown_token_class",
                f"{field}.{name}",
                f"{name!r} is no token class or unit{similar(name, PRICED)}; there are {', '.join(PRICED)}",
            )
        if not 0 <= nano <= MAX_NANO:
            raise refusal(
                "price_out_of_range",
                f"{field}.{name}",
                f"the price of {name} is {nano}; a price is from 0 to {MAX_NANO} nano-units",
            )


def _check_names(command: PriceCommand, providers: Mapping[str, str]) -> None:
    owner = providers.get(command.model)
    if owner is not None and owner != command.provider:
        raise refusal(
            "wrong_provider",
            "provider",
            f"{command.model} is provided by {owner}, not by {command.provider}",
            HTTPStatus.CONFLICT,
        )
    known_providers = sorted({*providers.values(), *genai_prices.provider_ids()})
    _check_known("provider", command.provider, PROVIDER_NAME, known_providers, is_new=command.is_new_provider)
    _check_known("model", command.model, MODEL_NAME, sorted(providers), is_new=command.is_new_model)


def _check_known(what: str, name: str, shape: re.Pattern[str], known: Sequence[str], *, is_new: bool) -> None:
    if name in known:
        return
    check_name(what, name, shape)
    if not is_new:
        raise refusal(
            f"unknown_{what}",
            what,
            f"there is no {what} {name!r} in the catalog{similar(name, known)}; "
            f'send "is_new_{what}": true if it is meant',
        )
