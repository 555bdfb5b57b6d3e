"""What is known of a model beside its price: how long its answers are, and what it can."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tollgate_billing.catalog import store
from tollgate_billing.catalog.handlers.publishing import publish_model
from tollgate_billing.catalog.handlers.validation import unknown_model
from tollgate_billing.catalog.store import StoredModel
from tollgate_common.postgres.connection import Pool


async def describe_model(pool: Pool, model: str, metadata: Mapping[str, Any], now: datetime) -> StoredModel:
    """Set what is known of a model, and tell everyone; what `metadata` does not name stays as it was.

    Raises:
        Problem: 404, there is no such model.
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
