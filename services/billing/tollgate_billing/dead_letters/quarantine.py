"""Quarantine of the models whose usage went to the dead letters because it could not be rated."""

import logging
from collections.abc import Sequence
from datetime import datetime

from tollgate_billing.catalog import store
from tollgate_billing.catalog.handlers.quarantine import record_decision
from tollgate_billing.catalog.rating import check_rating
from tollgate_billing.dead_letters.store import Letter
from tollgate_common.errors import Poison
from tollgate_common.events import TokensUsed, decode_usage
from tollgate_common.postgres.connection import Connection

log = logging.getLogger(__name__)


async def quarantine_unrateable(connection: Connection, letters: Sequence[Letter], group: str, now: datetime) -> None:
    """Quarantine the models of usage that the consumer group `group` rejected because it cannot be rated.

    This runs in the transaction that stores the letters, so no letter's model is missed. A letter with another reason
    (not an event, a time that no column can hold) does not affect its model. A letter that is read twice does not undo
    a later decision of an operator.
    """
    rejected = [(letter, _usage(letter)) for letter in letters if letter.consumer == group]
    suspects = [(letter, event) for letter, event in rejected if event is not None]
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
                log.warning(
                    "%s cannot be rated, and its model %r is not in the catalog, so nothing is quarantined",
                    letter.source,
                    model,
                )
            elif not await store.has_quarantined(connection, letter.source):
                await record_decision(connection, model, str(poison), now, is_lifted=False, source=letter.source)


def _usage(letter: Letter) -> TokensUsed | None:
    try:
        event = decode_usage(letter.value or b"")
    except Poison:
        return None
    return event if isinstance(event, TokensUsed) else None
