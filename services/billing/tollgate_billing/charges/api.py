"""An account's charges, for its API keys and members."""

import base64
import binascii
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request

from tollgate_billing.charges import schemas
from tollgate_billing.charges.store import Charges, Position
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import Caller, customers
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.errors import Problem
from tollgate_common.http import problems

# Milliseconds since 1970, the offset in the log, the request's id.
CURSOR = re.compile(r"(\d{1,13}) (\d{1,19}) (.*)", re.ASCII | re.DOTALL)


def add_routes(app: FastAPI, charges: Charges, keys: KeyDirectory, tokens: Verifier | None) -> None:
    """Add the routes of customers, who present an API key or an access token."""
    app.state.charges = charges
    app.state.customer = customers(keys, tokens)
    app.include_router(router)


def charges_table(request: Request) -> Charges:
    charges: Charges = request.app.state.charges
    return charges


async def customer(request: Request) -> Caller:
    caller: Caller = await request.app.state.customer(request)
    return caller


router = APIRouter()


@router.get("/v1/charges", responses=problems(401, 422, 503))
async def list_charges(
    caller: Annotated[Caller, Depends(customer)],
    charges: Annotated[Charges, Depends(charges_table)],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before")] = None,
) -> schemas.ChargePage:
    """List the charges of the caller's account, newest first."""
    page = await charges.page(caller.account_id, _parse_cursor(cursor), limit)
    following = None if page.next is None else _cursor(page.next)
    return schemas.ChargePage(data=[schemas.charge(row) for row in page.rows], next_cursor=following)


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
            f"{text[:100]!r} is not a cursor; pass the next_cursor of an earlier response unchanged",
            field="cursor",
        )
    at_ms, offset, request_id = parts.groups()
    return Position(datetime.fromtimestamp(int(at_ms) / 1000, UTC), request_id, int(offset))
