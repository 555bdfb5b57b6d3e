"""The catalogue's rows in PostgreSQL, and the charges' in ClickHouse, as types."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient
from psycopg.rows import DictRow

from tollgate_common.events import ModelRecord, PlanRecord, PlanVersion, PriceVersion
from tollgate_common.postgres import Connection
from tollgate_common.rating import PRICED, Prices, Tier
from tollgate_common.statements import Statements

SQL = Statements("tollgate_billing")


class StoredPrice(NamedTuple):
    """A price version as the catalogue knows it."""

    price_version: str
    model: str
    valid_from: datetime
    recorded_at: datetime
    source: str
    """`operator`, or the package and version that it was imported from."""
    prices: Prices
    cost: Prices | None
    """What the provider asks; None if that is not known."""


class StoredModel(NamedTuple):
    """A model with every version of its price, oldest first."""

    model: str
    provider: str
    context_tokens: int | None
    versions: list[StoredPrice]


class NewPrice(NamedTuple):
    model: str
    provider: str
    context_tokens: int | None
    valid_from: datetime
    source: str
    prices: Prices
    cost: Prices | None = None


class Position(NamedTuple):
    """A charge's place in the list of its account's charges: pages end and begin at it."""

    at: datetime
    request_id: str
    offset: int


# Above every charge: `consumers.LATEST` bounds their time.
NEWEST = Position(datetime(2200, 1, 1, tzinfo=UTC), "", 0)

# --- the catalogue ----------------------------------------------------------------------------------------------------


async def lock_catalogue(connection: Connection) -> None:
    await connection.execute(SQL["catalogue_lock"])


async def providers_by_model(connection: Connection) -> dict[str, str]:
    return {row["model"]: row["provider"] for row in await _rows(connection, "model_names")}


async def add_model(connection: Connection, new: NewPrice) -> None:
    parameters = {"model": new.model, "provider": new.provider, "context_tokens": new.context_tokens}
    await connection.execute(SQL["model_add"], parameters)


async def bump_model(connection: Connection, model: str) -> DictRow:
    """Lock the model's row and take the next version of its record."""
    return (await _rows(connection, "model_bump", model=model))[0]


async def add_price(connection: Connection, new: NewPrice) -> StoredPrice:
    """Write a version of a model whose row is locked.

    Raises:
        psycopg.errors.UniqueViolation: the model has a version with that `valid_from`.
    """
    rows = await _rows(
        connection,
        "price_add",
        model=new.model,
        valid_from=new.valid_from,
        source=new.source,
        tiers=msgspec.json.encode(new.prices.tiers).decode(),
        cost=None if new.cost is None else msgspec.json.encode(new.cost).decode(),
        **{field: getattr(new.prices, field) for field in PRICED},
    )
    return _price(rows[0])


async def models(connection: Connection, *names: str) -> dict[str, StoredModel]:
    """The named models, or all, with every version of their prices."""
    found: dict[str, StoredModel] = {}
    for row in await _rows(connection, "prices_of_models", models=list(names) or None):
        model = StoredModel(row["model"], row["provider"], row["context_tokens"], [])
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
        model=model, provider=locked["provider"], context_tokens=locked["context_tokens"], versions=tuple(versions)
    )


async def add_plan(connection: Connection, plan: str) -> bool:
    """Whether it was not there before."""
    return bool(await _rows(connection, "plan_add", plan=plan))


async def bump_plan(connection: Connection, plan: str) -> int:
    """Lock the plan's row and take the next version of its record."""
    return int((await _rows(connection, "plan_bump", plan=plan))[0]["record_version"])


async def add_plan_version(connection: Connection, plan: str, valid_from: datetime, multiplier_bps: int) -> None:
    await _rows(connection, "plan_version_add", plan=plan, valid_from=valid_from, multiplier_bps=multiplier_bps)


async def plan_record(connection: Connection, plan: str, since: datetime) -> PlanRecord:
    rows = await _rows(connection, "plan_versions_to_publish", plan=plan, since=since)
    versions = (PlanVersion(**{field: row[field] for field in PlanVersion.__struct_fields__}) for row in rows)
    return PlanRecord(plan=plan, versions=tuple(versions))


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
    )


# --- charges ----------------------------------------------------------------------------------------------------------

StoredCharge = dict[str, Any]


class Page(NamedTuple):
    rows: list[StoredCharge]
    """By the names of `sql/charges_page.sql`."""
    next: Position | None
    """Where the following page begins; None if this is the last."""


class Charges:
    def __init__(self, clickhouse: AsyncClient) -> None:
        self._clickhouse = clickhouse

    async def page(self, account_id: str, before: Position | None, limit: int) -> Page:
        """One account's charges older than `before`, newest first."""
        before = before or NEWEST
        result = await self._clickhouse.query(
            SQL["charges_page"],
            parameters={
                "account_id": account_id,
                "at_ms": round(before.at.timestamp() * 1000),
                "request_id": before.request_id,
                "offset": before.offset,
                # One more than asked for tells whether there is a following page.
                "limit": limit + 1,
            },
            # The default gives naive times, which would read as local ones.
            tz_mode="aware",
        )
        rows = list(result.named_results())
        if len(rows) <= limit:
            return Page(rows, None)
        last = rows[limit - 1]
        return Page(rows[:limit], Position(last["at"], last["request_id"], last["offset"]))
