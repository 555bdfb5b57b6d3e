"""A model's metadata: context length, maximum output and capabilities."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tollgate_billing.catalog import store
from tollgate_billing.catalog.handlers.publishing import publish_model
from tollgate_billing.catalog.handlers.validation import unknown_model
from tollgate_billing.catalog.store import StoredModel
from tollgate_common.postgres.connection import Pool


async def describe_model(pool: Pool, model: str, metadata: Mapping[str, Any], now: datetime) -> StoredModel:
    """Set a model's metadata and publish it. Fields that `metadata` does not name keep their values.

    Raises:
        Problem: 404, the model is not in the catalog.
    """
    async with pool.connection() as connection, connection.transaction():
        await store.lock_catalog(connection)
        known = (await store.models(connection, model)).get(model)
        if known is None:
            raise unknown_model(model, sorted(await store.providers_by_model(connection)))
        described = known._replace(**metadata)
        await store.describe_model(connection, described)
        await publish_model(connection, model, now)
    return described
