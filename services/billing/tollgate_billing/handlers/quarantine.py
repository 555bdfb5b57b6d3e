"""Quarantine: a model whose usage cannot be rated is called by nobody until an operator says so."""

import logging
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus

from tollgate_billing import store
from tollgate_billing.catalogue import check_rating
from tollgate_billing.dead_letters.store import Letter
from tollgate_billing.handlers.publishing import publish_model
from tollgate_billing.handlers.validation import refusal, unknown_model
from tollgate_billing.store import Quarantine
from tollgate_common.errors import Poison
from tollgate_common.events import TokensUsed, decode_usage
from tollgate_common.postgres.connection import Connection, Pool

log = logging.getLogger(__name__)


async def list_quarantines(pool: Pool) -> list[Quarantine]:
    async with pool.connection() as connection:
        return await store.quarantines(connection)


async def quarantine(pool: Pool, model: str, reason: str, now: datetime) -> None:
    """Let nobody call the model any more.

    Raises:
        Problem: 404 if there is no such model, 409 if nobody may call it already.
    """
    async with pool.connection() as connection, connection.transaction():
        await _check_known(connection, model)
        if not await _decide(connection, model, reason, now, is_lifted=False):
            raise refusal("already_quarantined", "model", f"{model} is quarantined already", HTTPStatus.CONFLICT)


async def lift_quarantine(pool: Pool, model: str, reason: str, now: datetime) -> None:
    """Let everybody call the model again.

    Raises:
        Problem: 404 if there is no such model, 409 if everybody may call it.
    """
    async with pool.connection() as connection, connection.transaction():
        await _check_known(connection, model)
        if not await _decide(connection, model, reason, now, is_lifted=True):
            raise refusal("not_quarantined", "model", f"{model} is not quarantined", HTTPStatus.CONFLICT)


async def quarantine_unrateable(connection: Connection, letters: Sequence[Letter], group: str, now: datetime) -> None:
    """Quarantine the models of usage that `group`, which rates, gave up because it cannot be rated.

    Within the transaction that stores the letters: there is no letter whose model was forgotten. What was given up for
    another reason (no event, a time that no column holds) says nothing about its model. A letter that is read twice
    does not undo what an operator has decided since.
    """
    given_up = [(letter, _usage(letter)) for letter in letters if letter.consumer == group]
    suspects = [(letter, event) for letter, event in given_up if event is not None]
    if not suspects:
        return
    prices, multipliers = await store.all_prices(connection), await store.all_multipliers(connection)
    known = await store.providers_by_model(connection)
    for letter, event in suspects:
        try:
            check_rating(event, prices, multipliers)
        except Poison as poison:
            model = event.request.model
            if model not in known:
                log.warning("%s cannot be rated, and its model %r is none of the catalogue", letter.source, model)
            elif not await store.has_quarantined(connection, letter.source):
                await _decide(connection, model, str(poison), now, is_lifted=False, source=letter.source)


def _usage(letter: Letter) -> TokensUsed | None:
    try:
        event = decode_usage(letter.value or b"")
    except Poison:
        return None
    return event if isinstance(event, TokensUsed) else None


async def _decide(
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
