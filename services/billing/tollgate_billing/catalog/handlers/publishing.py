"""Changes of the catalog with the records that publish them, in the caller's transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from psycopg.rows import DictRow

from tollgate_billing.catalog import store
from tollgate_billing.catalog.model_metadata import ModelMetadata
from tollgate_billing.catalog.store import NewPrice, StoredPrice
from tollgate_common.events import encode
from tollgate_common.postgres import outbox
from tollgate_common.postgres.connection import Connection
from tollgate_common.postgres.outbox import Message
from tollgate_common.topics import Topic

# A superseded version stays in the published record while an event may name it. usage.v1 keeps 30 days.
PUBLISHED_FOR = timedelta(days=40)


async def record_prices(
    connection: Connection, new: Sequence[NewPrice], now: datetime, metadata: ModelMetadata | None = None
) -> list[StoredPrice]:
    """Insert versions of one model, and its metadata if it has none, and publish the model's record."""
    await store.add_model(connection, new[0])
    if metadata is not None:
        await store.learn_metadata(connection, new[0].model, metadata)
    locked = await store.bump_model(connection, new[0].model)
    added = [await store.add_price(connection, price) for price in new]
    await _publish(connection, new[0].model, locked, now)
    return added


async def publish_model(connection: Connection, model: str, now: datetime) -> None:
    """Publish the model's current record."""
    await _publish(connection, model, await store.bump_model(connection, model), now)


async def publish_plan(connection: Connection, plan: str, now: datetime) -> None:
    locked = await store.bump_plan(connection, plan)
    record = await store.plan_record(connection, plan, locked, now - PUBLISHED_FOR)
    await outbox.add(connection, Message(Topic.CATALOGUE, f"plan:{plan}", locked["record_version"], encode(record)))


async def _publish(connection: Connection, model: str, locked: DictRow, now: datetime) -> None:
    record = await store.model_record(connection, model, locked, now - PUBLISHED_FOR)
    await outbox.add(connection, Message(Topic.CATALOGUE, f"model:{model}", locked["record_version"], encode(record)))


def midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
