"""Quarantine: edges reject requests for a model until an operator lifts its quarantine."""

import logging
from datetime import datetime
from http import HTTPStatus

from tollgate_billing.catalog import store
from tollgate_billing.catalog.handlers.publishing import publish_model
from tollgate_billing.catalog.handlers.validation import refusal, unknown_model
from tollgate_billing.catalog.store import Quarantine
from tollgate_common.postgres.connection import Connection, Pool

log = logging.getLogger(__name__)


async def list_quarantines(pool: Pool) -> list[Quarantine]:
    async with pool.connection() as connection:
        return await store.quarantines(connection)


async def quarantine(pool: Pool, model: str, reason: str, now: datetime) -> None:
    """Quarantine a model.

    Raises:
        Problem: 404 if the model is not in the catalog, 409 if it is already quarantined.
    """
    async with pool.connection() as connection, connection.transaction():
        await _check_known(connection, model)
        if not await record_decision(connection, model, reason, now, is_lifted=False):
            raise refusal("already_quarantined", "model", f"{model} is quarantined already", HTTPStatus.CONFLICT)


async def lift_quarantine(pool: Pool, model: str, reason: str, now: datetime) -> None:
    """Lift a model's quarantine.

    Raises:
        Problem: 404 if the model is not in the catalog, 409 if it is not quarantined.
    """
    async with pool.connection() as connection, connection.transaction():
        await _check_known(connection, model)
        if not await record_decision(connection, model, reason, now, is_lifted=True):
            raise refusal("not_quarantined", "model", f"{model} is not quarantined", HTTPStatus.CONFLICT)


async def record_decision(
    connection: Connection, model: str, reason: str, now: datetime, *, is_lifted: bool, source: str | None = None
) -> bool:
    if not await store.set_quarantined(connection, model, None if is_lifted else reason):
        return False
    decision = "lifted" if is_lifted else "quarantined"
    await store.decide_quarantine(connection, model, decision, reason, source)
    await publish_model(connection, model, now)
    log.warning("%s is %s: %s", model, decision, reason)
    return True


async def _check_known(connection: Connection, model: str) -> None:
    known = await store.providers_by_model(connection)
    if model not in known:
        raise unknown_model(model, sorted(known))
