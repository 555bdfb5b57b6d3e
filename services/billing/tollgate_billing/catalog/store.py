"""The catalog's rows in PostgreSQL, as types."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from psycopg.rows import DictRow

from tollgate_billing.catalog.model_metadata import ModelMetadata
from tollgate_billing.database import SQL
from tollgate_common.events import ModelRecord, PlanRecord, PlanVersion, PriceVersion
from tollgate_common.postgres.connection import Connection
from tollgate_common.rating import PRICED, Prices, Tier


class StoredPrice(NamedTuple):
    """A price version as stored in the catalog."""

    price_version: str
    model: str
    valid_from: datetime
    recorded_at: datetime
    source: str
    """`operator`, or the package and version that it was imported from."""
    prices: Prices
    cost: Prices | None
    """The price that the provider charges; None if unknown."""
    is_correction: bool


class StoredModel(NamedTuple):
    """A model with every version of its price, oldest first."""

    model: str
    provider: str
    context_tokens: int | None
    max_output_tokens: int | None
    capabilities: Sequence[str]
    versions: list[StoredPrice]

    def in_force(self, at: datetime) -> StoredPrice | None:
        """Return the version in force at a time: the last that has started, and among equal starts the newest."""
        return next((version for version in reversed(self.versions) if version.valid_from <= at), None)


class PlanStep(NamedTuple):
    plan_version: str
    valid_from: datetime
    recorded_at: datetime
    multiplier_bps: int
    is_correction: bool


class StoredPlan(NamedTuple):
    """A plan with every version of its multiplier, oldest first."""

    plan: str
    retired_at: datetime | None
    versions: list[PlanStep]


class Quarantine(NamedTuple):
    """A model that is quarantined now."""

    model: str
    provider: str
    reason: str
    since: datetime
    source: str | None
    """The dead letter that caused it; None if an operator decided."""


class NewPrice(NamedTuple):
    model: str
    provider: str
    context_tokens: int | None
    valid_from: datetime
    source: str
    prices: Prices
    cost: Prices | None = None
    is_correction: bool = False


# --- the catalog ----------------------------------------------------------------------------------------------------


async def lock_catalog(connection: Connection) -> None:
    await connection.execute(SQL["catalog_lock"])


async def providers_by_model(connection: Connection) -> dict[str, str]:
    return {row["model"]: row["provider"] for row in await _rows(connection, "model_names")}


async def add_model(connection: Connection, new: NewPrice) -> None:
    parameters = {"model": new.model, "provider": new.provider, "context_tokens": new.context_tokens}
    await connection.execute(SQL["model_add"], parameters)


async def learn_metadata(connection: Connection, model: str, metadata: ModelMetadata) -> bool:
    """Store metadata of a model that has none. Return whether it was stored."""
    parameters = {"capabilities": list(metadata.capabilities), "max_output_tokens": metadata.max_output_tokens}
    return bool(await _rows(connection, "model_learn", model=model, **parameters))


async def describe_model(connection: Connection, model: StoredModel) -> None:
    """Store the model's context length, maximum output and capabilities."""
    parameters = model._asdict() | {"capabilities": list(model.capabilities)}
    await connection.execute(SQL["model_describe"], parameters)


async def bump_model(connection: Connection, model: str) -> DictRow:
    """Lock the model's row and increment the version of its record."""
    return (await _rows(connection, "model_bump", model=model))[0]


async def add_price(connection: Connection, new: NewPrice) -> StoredPrice:
    """Insert a version of a model whose row is locked.

    Raises:
        psycopg.errors.UniqueViolation: the model has a version with that `valid_from`, and this is not a correction.
    """
    rows = await _rows(
        connection,
        "price_add",
        model=new.model,
        valid_from=new.valid_from,
        source=new.source,
        is_correction=new.is_correction,
        tiers=msgspec.json.encode(new.prices.tiers).decode(),
        cost=None if new.cost is None else msgspec.json.encode(new.cost).decode(),
        **{field: getattr(new.prices, field) for field in PRICED},
    )
    return _price(rows[0])


async def models(connection: Connection, *names: str) -> dict[str, StoredModel]:
    """Read the named models, or all, with every version of their prices."""
    return _models(await _rows(connection, "prices_of_models", models=list(names) or None))


async def prices_believed(
    connection: Connection, model: str | None, at: datetime, as_of: datetime
) -> dict[str, StoredModel]:
    """Read for one model, or all, the version that was recorded at `as_of` as in force at `at`."""
    names = None if model is None else [model]
    return _models(await _rows(connection, "prices_believed", models=names, at=at, as_of=as_of))


def _models(rows: Sequence[DictRow]) -> dict[str, StoredModel]:
    found: dict[str, StoredModel] = {}
    for row in rows:
        metadata = {field: row[field] for field in StoredModel._fields if field != "versions"}
        model = StoredModel(**metadata, versions=[])
        found.setdefault(model.model, model).versions.append(_price(row))
    return found


async def model_record(connection: Connection, model: str, locked: DictRow, since: datetime) -> ModelRecord:
    rows = await _rows(connection, "prices_to_publish", model=model, since=since)
    versions = (
        PriceVersion(
            price_version=price.price_version, valid_from=price.valid_from, prices=price.prices, cost=price.cost
        )
        for price in map(_price, rows)
    )
    return ModelRecord(
        model=model,
        provider=locked["provider"],
        context_tokens=locked["context_tokens"],
        max_output_tokens=locked["max_output_tokens"],
        capabilities=tuple(locked["capabilities"]),
        versions=tuple(versions),
        quarantined=locked["quarantined"] or "",
    )


async def add_plan(connection: Connection, plan: str) -> bool:
    """Insert a plan. Return False if it exists."""
    return bool(await _rows(connection, "plan_add", plan=plan))


async def bump_plan(connection: Connection, plan: str) -> DictRow:
    """Lock the plan's row and increment the version of its record."""
    return (await _rows(connection, "plan_bump", plan=plan))[0]


async def add_plan_version(
    connection: Connection, plan: str, valid_from: datetime, multiplier_bps: int, *, is_correction: bool = False
) -> None:
    await _rows(
        connection,
        "plan_version_add",
        plan=plan,
        valid_from=valid_from,
        multiplier_bps=multiplier_bps,
        is_correction=is_correction,
    )


async def plans(connection: Connection) -> dict[str, StoredPlan]:
    """Read every plan with every version of its multiplier."""
    found: dict[str, StoredPlan] = {}
    for row in await _rows(connection, "plans_list"):
        retired_at = None if row["retired_at"] is None else row["retired_at"].astimezone(UTC)
        plan = found.setdefault(row["plan"], StoredPlan(row["plan"], retired_at, []))
        step = PlanStep(*(row[field] for field in PlanStep._fields))
        plan.versions.append(
            step._replace(valid_from=step.valid_from.astimezone(UTC), recorded_at=step.recorded_at.astimezone(UTC))
        )
    return found


async def retire_plan(connection: Connection, plan: str, retired_at: datetime) -> None:
    await connection.execute(SQL["plan_retire"], {"plan": plan, "retired_at": retired_at})


async def plan_record(connection: Connection, plan: str, locked: DictRow, since: datetime) -> PlanRecord:
    rows = await _rows(connection, "plan_versions_to_publish", plan=plan, since=since)
    versions = (PlanVersion(**{field: row[field] for field in PlanVersion.__struct_fields__}) for row in rows)
    return PlanRecord(plan=plan, versions=tuple(versions), retired_at=locked["retired_at"])


# --- quarantine -------------------------------------------------------------------------------------------------------


async def quarantines(connection: Connection) -> list[Quarantine]:
    rows = await _rows(connection, "quarantines")
    return [Quarantine(**row | {"since": row["since"].astimezone(UTC)}) for row in rows]


async def set_quarantined(connection: Connection, model: str, reason: str | None) -> bool:
    """Set or clear the quarantine of a model. Return whether that changed anything."""
    return bool(await _rows(connection, "model_quarantine", model=model, reason=reason))


async def decide_quarantine(connection: Connection, model: str, decision: str, reason: str, source: str | None) -> None:
    parameters = {"model": model, "decision": decision, "reason": reason, "source": source}
    await connection.execute(SQL["quarantine_decide"], parameters)


async def has_quarantined(connection: Connection, source: str) -> bool:
    return bool(await _rows(connection, "quarantine_of_source", source=source))


# --- versions that an event may name ---------------------------------------------------------------------------------


async def all_prices(connection: Connection) -> dict[str, Prices]:
    rows = await _rows(connection, "prices_of_models", models=None)
    return {row["price_version"]: _price(row).prices for row in rows}


async def all_multipliers(connection: Connection) -> dict[str, int]:
    return {row["plan_version"]: row["multiplier_bps"] for row in await _rows(connection, "plan_versions_all")}


async def _rows(connection: Connection, statement: str, **parameters: Any) -> list[DictRow]:
    return await (await connection.execute(SQL[statement], parameters)).fetchall()


def _price(row: DictRow) -> StoredPrice:
    return StoredPrice(
        row["price_version"],
        row["model"],
        row["valid_from"].astimezone(UTC),
        row["recorded_at"].astimezone(UTC),
        row["source"],
        Prices(**{field: row[field] for field in PRICED}, tiers=msgspec.convert(row["tiers"], type=tuple[Tier, ...])),
        None if row["cost"] is None else msgspec.convert(row["cost"], type=Prices),
        row["is_correction"],
    )
