"""Imports from the bundled price data: fill an empty catalog, or add what has changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tollgate_billing.catalog import genai_prices, store
from tollgate_billing.catalog.free_models import free_offers
from tollgate_billing.catalog.handlers.prices import OPERATOR
from tollgate_billing.catalog.handlers.publishing import midnight, publish_model, publish_plan, record_prices
from tollgate_billing.catalog.handlers.validation import refusal, similar
from tollgate_billing.catalog.model_metadata import metadata_of
from tollgate_billing.catalog.store import NewPrice, StoredModel, StoredPrice
from tollgate_common.postgres.connection import Connection, Pool
from tollgate_common.rating import BASIS_POINTS, Prices

STANDARD_PLAN = "standard"


class PriceImport(NamedTuple):
    """The result of an import, by model."""

    added: list[StoredPrice]
    before: dict[str, Prices]
    """The prices that were in force, for models that had some."""
    unchanged: list[str]
    kept: list[str]
    """Models whose price an operator has set. An import does not override it."""
    left_out: dict[str, str]
    """By model, the reason why it has no exact price."""


async def seed(pool: Pool, provider_ids: Sequence[str], now: datetime) -> PriceImport | None:
    """Fill an empty catalog with the standard plan and the bundled prices. Return None if there were prices."""
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalog(connection)
        await _add_standard_plan(connection, now)
        if await store.providers_by_model(connection):
            return None
        return await _import(connection, provider_ids, now)


async def import_prices(
    pool: Pool, provider_ids: Sequence[str], now: datetime, *, dry_run: bool = False
) -> PriceImport:
    """Add a version wherever the bundled price differs from the imported one.

    A dry run does the same and rolls it back, so its result is exact.

    Raises:
        Problem: the data has no such provider.
    """
    known = genai_prices.provider_ids()
    for name in provider_ids:
        if name not in known:
            raise refusal(
                "unknown_provider",
                "providers",
                f"the bundled price data has no provider {name!r}{similar(name, known)}",
            )
    async with pool.connection() as connection, connection.transaction(force_rollback=dry_run):
        await store.lock_catalog(connection)
        await _add_standard_plan(connection, now)
        return await _import(connection, provider_ids, now)


async def _add_standard_plan(connection: Connection, now: datetime) -> None:
    if await store.add_plan(connection, STANDARD_PLAN):
        await store.add_plan_version(connection, STANDARD_PLAN, midnight(now), BASIS_POINTS)
        await publish_plan(connection, STANDARD_PLAN, now)


async def _import(connection: Connection, provider_ids: Sequence[str], now: datetime) -> PriceImport:
    offers, left_out = genai_prices.read_offers(provider_ids, now)
    stored = await store.models(connection)
    done = PriceImport([], {}, [], [], left_out)
    for offer in (*offers, *free_offers(provider_ids, now)):
        known = stored.get(offer.model)
        if known is not None and (known.provider != offer.provider or known.versions[-1].source == OPERATOR):
            done.kept.append(offer.model)
            continue
        in_force = None if known is None else known.in_force(now)
        new = _changes(offer, known, in_force, now)
        metadata = metadata_of(offer.provider, offer.model)
        if not new:
            if metadata is not None and await store.learn_metadata(connection, offer.model, metadata):
                await publish_model(connection, offer.model, now)
            done.unchanged.append(offer.model)
            continue
        done.added.extend(await record_prices(connection, new, now, metadata))
        if in_force is not None:
            done.before[offer.model] = in_force.prices
    return done


def _changes(
    offer: genai_prices.Offer, known: StoredModel | None, in_force: StoredPrice | None, now: datetime
) -> list[NewPrice]:
    """Return the versions that the catalog lacks: a changed price in force, and newly announced ones."""
    versions = [] if known is None else known.versions
    announced = {version.valid_from for version in versions if version.valid_from > now}
    (_, prices), *coming = offer.versions
    new = []
    # The list price is also the provider's price.
    if in_force is None or (prices, prices) != (in_force.prices, in_force.cost):
        # Nothing was sold before a model's first price, so it starts at midnight, early enough for every clock.
        new.append((midnight(now) if in_force is None else now, prices))
    new.extend((valid_from, prices) for valid_from, prices in coming if valid_from not in announced)
    return [
        NewPrice(offer.model, offer.provider, offer.context_tokens, valid_from, offer.source, prices, prices)
        for valid_from, prices in new
    ]
