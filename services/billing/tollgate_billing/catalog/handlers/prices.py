"""Prices of models: set, schedule or correct one by a new version, and read what was recorded when."""

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
    """The prices of longer prompts: only those that differ from the version's own."""

    above_tokens: int
    prices: Mapping[str, int]


class PriceCommand(NamedTuple):
    """A price from an operator. `is_new_model` and `is_new_provider` confirm that a name is new."""

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
    """Without a cost: whether the previous cost stays, or becomes unknown."""
    is_correction: bool = False
    currency: str = "USD"


async def add_price(pool: Pool, command: PriceCommand, now: datetime) -> StoredPrice:
    """Set a model's price from now, from a future time, or, as a correction, from a past time.

    Raises:
        Problem: a value is invalid; the detail names a valid one.
    """
    check_currency(command.currency)
    valid_from = moment(command.valid_from, now, is_correction=command.is_correction)
    prices = _prices("prices", command.prices, "tiers", command.tiers)
    cost = None
    if command.cost is not None:
        cost = _prices("cost", command.cost, "cost_tiers", command.cost_tiers)
    elif command.cost_tiers:
        raise refusal("cost_missing", "cost", "cost_tiers need a cost; send cost too, or leave cost_tiers out")
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
    """Read one model, or all, with every version of their prices.

    Raises:
        Problem: the model is not in the catalog.
    """
    async with pool.connection() as connection:
        found = await store.models(connection, *([] if model is None else [model]))
        await _check_found(connection, model, found)
    return list(found.values())


async def prices_believed(pool: Pool, model: str | None, at: datetime, as_of: datetime) -> list[StoredModel]:
    """Read the prices that were recorded at `as_of` for `at`: each model with that version, if it had one.

    Raises:
        Problem: the model is not in the catalog.
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
                "price_missing", f"{field}.{name}", f"the price of {name} is missing; send one, or 0 if it is free"
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
                f"{name!r} is not a token class or unit{similar(name, PRICED)}; expected one of {', '.join(PRICED)}",
            )
        if not 0 <= nano <= MAX_NANO:
            raise refusal(
                "price_out_of_range",
                f"{field}.{name}",
                f"the price of {name} is {nano}; expected 0 to {MAX_NANO} nano-units",
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
            f'there is no {what} {name!r} in the catalog{similar(name, known)}; send "is_new_{what}": true to add it',
        )
