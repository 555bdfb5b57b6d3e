"""HTTP: prices for everyone, an account's charges for its keys; what operators do is in `operator_api`."""

import base64
import binascii
import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import Depends, FastAPI, Query
from pydantic import SecretStr

from tollgate_billing import handlers, schemas
from tollgate_billing.operator_api import catalogue_routes
from tollgate_billing.store import Charges, Position
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import Caller, customers, operators
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.errors import Problem
from tollgate_common.http import create_app, expect_stores_away, problems
from tollgate_common.postgres.connection import Pool

log = logging.getLogger(__name__)

# Milliseconds since 1970, the offset in the log, the request's id.
CURSOR = re.compile(r"(\d{1,13}) (\d{1,19}) (.*)", re.ASCII | re.DOTALL)


def build_app(
    pool: Pool,
    charges: Charges,
    keys: KeyDirectory,
    operator_token: SecretStr | None,
    waiting_for: Callable[[], str | None],
    *,
    tokens: Verifier | None = None,
    provider_ids: Sequence[str] = ("openai",),
) -> FastAPI:
    """Build the application.

    Args:
        pool: of the catalogue's database.
        charges: the charges' table.
        keys: who calls.
        operator_token: the secret that lets an operator set prices; without it nobody can.
        waiting_for: None when the service can work, otherwise what it waits for.
        tokens: verifies access tokens; without it only API keys and the operators' secret are taken.
        provider_ids: whose prices an import reads unless it says otherwise.
    """
    app = create_app("Tollgate billing", ready=waiting_for)
    expect_stores_away(app, psycopg.OperationalError, ClickHouseError, OSError)
    Customer = Annotated[Caller, Depends(customers(keys, tokens))]  # noqa: N806 - a type

    app.include_router(catalogue_routes(pool, operators(operator_token, tokens), provider_ids))

    @app.get("/v1/prices", responses=problems(404, 503))
    async def list_prices(
        model: Annotated[str | None, Query(max_length=200, description="only this model")] = None,
    ) -> schemas.PriceList:
        """The price of every model, or of one: what it was, is and will be."""
        found = await handlers.list_prices(pool, model)
        return schemas.PriceList(data=[schemas.priced_model(stored) for stored in found])

    @app.get("/v1/charges", responses=problems(401, 422, 503))
    async def list_charges(
        caller: Customer,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before")] = None,
    ) -> schemas.ChargePage:
        """What the caller's account was charged, newest first."""
        page = await charges.page(caller.account_id, _parse_cursor(cursor), limit)
        following = None if page.next is None else _cursor(page.next)
        return schemas.ChargePage(data=[schemas.charge(row) for row in page.rows], next_cursor=following)

    return app


def _cursor(position: Position) -> str:
    text = f"{round(position.at.timestamp() * 1000)} {position.offset} {position.request_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parse_cursor(text: str | None) -> Position | None:
    if text is None:
        return None
    try:
        parts = CURSOR.fullmatch(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    except (binascii.Error, ValueError):
        parts = None
    if parts is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_cursor",
            "this is no cursor; pass the next_cursor of an earlier answer as it came",
            field="cursor",
        )
    at_ms, offset, request_id = parts.groups()
    return Position(datetime.fromtimestamp(int(at_ms) / 1000, UTC), request_id, int(offset))
