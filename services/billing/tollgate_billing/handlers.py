"""The catalogue's use cases: seed it, import prices, set a price. Each is one transaction, outbox rows inside it."""

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

from tollgate_billing import genai, store
from tollgate_billing.store import NewPrice, StoredModel, StoredPrice
from tollgate_common import outbox
from tollgate_common.errors import Problem
from tollgate_common.events import encode
from tollgate_common.outbox import Message
from tollgate_common.postgres import Connection, Pool
from tollgate_common.rating import BASIS_POINTS, PRICED, Prices
from tollgate_common.topics import Topic

STANDARD_PLAN = "standard"
OPERATOR = "operator"
# A superseded version stays in the published record for as long as an event may name it: usage.v1 keeps 30 days.
PUBLISHED_FOR = timedelta(days=40)
# An operator's clock may be behind ours; more than this in the past would change what has been sold.
PAST_TOLERANCE = timedelta(minutes=1)

PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
MAX_NANO = (1 << 63) - 1


class Import(NamedTuple):
    """What an import did, model by model."""

    added: list[StoredPrice]
    unchanged: list[str]
    kept: list[str]
    """Models whose price an operator has set: an import does not override it."""
    left_out: dict[str, str]
    """Model → why it has no exact price per token."""


class PriceCommand(NamedTuple):
    """An operator's wish. `is_new_model` and `is_new_provider` say that an unknown name is no mistake."""

    model: str
    provider: str
    valid_from: datetime | None
    prices: Mapping[str, int]
    context_tokens: int | None
    is_new_model: bool
    is_new_provider: bool


async def seed(pool: Pool, provider_ids: Sequence[str], now: datetime) -> Import | None:
    """Fill an empty catalogue: the standard plan, and the prices of the bundled data. None if there were prices."""
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalogue(connection)
        await _add_standard_plan(connection, now)
        if await store.providers_by_model(connection):
            return None
        return await _import(connection, provider_ids, now)


async def import_prices(pool: Pool, provider_ids: Sequence[str], now: datetime) -> Import:
    """Add a version wherever the bundled data's price differs from the imported one; nothing elsewhere."""
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalogue(connection)
        await _add_standard_plan(connection, now)
        return await _import(connection, provider_ids, now)


async def add_price(pool: Pool, command: PriceCommand, now: datetime) -> StoredPrice:
    """Set a model's price from now on, or from a moment to come.

    Raises:
        Problem: something about it is wrong; says what, and what would be right.
    """
    valid_from = _moment(command.valid_from, now)
    prices = _prices(command.prices)
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalogue(connection)
        _check_names(command, await store.providers_by_model(connection))
        new = NewPrice(command.model, command.provider, command.context_tokens, valid_from, OPERATOR, prices)
        known = (await store.models(connection, command.model)).get(command.model)
        _check_is_free(known, new)
        return (await _add_versions(connection, [new], now))[0]


async def list_prices(pool: Pool, model: str | None) -> list[StoredModel]:
    """One model, or all, with every version of their prices.

    Raises:
        Problem: there is no such model.
    """
    async with pool.connection() as connection:
        found = await store.models(connection, *([] if model is None else [model]))
        if model is not None and not found:
            known = sorted(await store.providers_by_model(connection))
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "unknown_model",
                f"there is no model {model!r} in the catalogue{_similar(model, known)}",
                field="model",
            )
    return list(found.values())


# --- importing --------------------------------------------------------------------------------------------------------


async def _add_standard_plan(connection: Connection, now: datetime) -> None:
    if not await store.add_plan(connection, STANDARD_PLAN):
        return
    version = await store.bump_plan(connection, STANDARD_PLAN)
    await store.add_plan_version(connection, STANDARD_PLAN, _midnight(now), BASIS_POINTS)
    record = await store.plan_record(connection, STANDARD_PLAN, now - PUBLISHED_FOR)
    await outbox.add(connection, Message(Topic.CATALOGUE, f"plan:{STANDARD_PLAN}", version, encode(record)))


async def _import(connection: Connection, provider_ids: Sequence[str], now: datetime) -> Import:
    offers, left_out = genai.read_offers(provider_ids, now)
    stored = await store.models(connection)
    done = Import([], [], [], left_out)
    for offer in offers:
        known = stored.get(offer.model)
        if known is not None and (known.provider != offer.provider or known.versions[-1].source == OPERATOR):
            done.kept.append(offer.model)
            continue
        new = _changes(offer, known, now)
        if new:
            done.added.extend(await _add_versions(connection, new, now))
        else:
            done.unchanged.append(offer.model)
    return done


def _changes(offer: genai.Offer, known: StoredModel | None, now: datetime) -> list[NewPrice]:
    """The versions that the catalogue lacks: the price in force if it is another one, and those announced since."""
    versions = [] if known is None else known.versions
    in_force = next((version for version in reversed(versions) if version.valid_from <= now), None)
    announced = {version.valid_from for version in versions if version.valid_from > now}
    (_, prices), *coming = offer.versions
    new = []
    # The list price is what the provider asks.
    if in_force is None or (prices, prices) != (in_force.prices, in_force.cost):
        # Nothing can have been sold before a model's first price, so that one may begin early enough for every clock.
        new.append((_midnight(now) if in_force is None else now, prices))
    new.extend((valid_from, prices) for valid_from, prices in coming if valid_from not in announced)
    return [
        NewPrice(offer.model, offer.provider, offer.context_tokens, valid_from, genai.SOURCE, prices, prices)
        for valid_from, prices in new
    ]


async def _add_versions(connection: Connection, new: Sequence[NewPrice], now: datetime) -> list[StoredPrice]:
    """Write one model's versions and tell everyone."""
    model = new[0].model
    await store.add_model(connection, new[0])
    locked = await store.bump_model(connection, model)
    added = [await store.add_price(connection, price) for price in new]
    record = await store.model_record(connection, model, locked, now - PUBLISHED_FOR)
    await outbox.add(connection, Message(Topic.CATALOGUE, f"model:{model}", locked["record_version"], encode(record)))
    return added


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


# --- what an operator may set -----------------------------------------------------------------------------------------


def _moment(valid_from: datetime | None, now: datetime) -> datetime:
    if valid_from is None:
        return now
    if valid_from < now - PAST_TOLERANCE:
        raise _refusal(
            "valid_from_past",
            "valid_from",
            f"valid_from is {valid_from.isoformat()}, which is past; what has been sold keeps its price. "
            "Leave it out for now, or name a moment to come",
        )
    return valid_from.astimezone(UTC).replace(microsecond=valid_from.microsecond // 1000 * 1000)


def _prices(prices: Mapping[str, int]) -> Prices:
    for field, nano in prices.items():
        if field not in PRICED:
            raise _refusal(
                "unknown_token_class",
                f"prices.{field}",
                f"{field!r} is no token class{_similar(field, PRICED)}; there are {', '.join(PRICED)}",
            )
        if not 0 <= nano <= MAX_NANO:
            raise _refusal(
                "price_out_of_range",
                f"prices.{field}",
                f"the price of {field} is {nano}; a price is from 0 to {MAX_NANO} nano-units",
            )
    for field in ("input", "output"):
        if field not in prices:
            raise _refusal(
                "price_missing", f"prices.{field}", f"there is no price of {field}; give one, 0 if it costs nothing"
            )
    return Prices(**prices, tiers=())


def _check_names(command: PriceCommand, providers: Mapping[str, str]) -> None:
    owner = providers.get(command.model)
    if owner is not None and owner != command.provider:
        raise _refusal(
            "wrong_provider",
            "provider",
            f"{command.model} is provided by {owner}, not by {command.provider}",
            HTTPStatus.CONFLICT,
        )
    known_providers = sorted({*providers.values(), *genai.provider_ids()})
    _check_name("provider", command.provider, PROVIDER_NAME, known_providers, is_new=command.is_new_provider)
    _check_name("model", command.model, MODEL_NAME, sorted(providers), is_new=command.is_new_model)


def _check_name(what: str, name: str, shape: re.Pattern[str], known: Sequence[str], *, is_new: bool) -> None:
    if name in known:
        return
    if shape.fullmatch(name) is None:
        raise _refusal(f"invalid_{what}", what, f"{name!r} is no name of a {what}; it must match {shape.pattern}")
    if not is_new:
        raise _refusal(
            f"unknown_{what}",
            what,
            f"there is no {what} {name!r} in the catalogue{_similar(name, known)}; "
            f'send "is_new_{what}": true if it is meant',
        )


def _check_is_free(known: StoredModel | None, new: NewPrice) -> None:
    for version in () if known is None else known.versions:
        if version.valid_from == new.valid_from:
            raise _refusal(
                "valid_from_taken",
                "valid_from",
                f"{version.price_version} of {new.model} already begins at {new.valid_from.isoformat()}; a version is "
                "never replaced, and two cannot hold at once: name another moment",
                HTTPStatus.CONFLICT,
            )


def _similar(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=3)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def _refusal(code: str, field: str, detail: str, status: int = HTTPStatus.UNPROCESSABLE_ENTITY) -> Problem:
    return Problem(status, code, detail, field=field)
