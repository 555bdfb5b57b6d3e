"""What an account's owner may ask: parse, call, render."""

from datetime import datetime
from typing import Annotated, Literal

import psycopg
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tollgate_balance.ledger import Account, LedgerAccount
from tollgate_balance.store import ledger as store
from tollgate_common.access_tokens import Verifier
from tollgate_common.callers import Caller, customers
from tollgate_common.errors import Problem
from tollgate_common.http import problem_response
from tollgate_common.keys import KeyDirectory
from tollgate_common.money import decimal_from_nano
from tollgate_common.postgres import Pool

CURRENCY: Literal["USD"] = "USD"
MAX_PAGE = 1000
NEWEST = 2**63 - 1


class Balance(BaseModel):
    """`available` is what is posted and not held by leases; each amount also as a decimal number in `currency`."""

    account_id: str
    currency: Literal["USD"] = CURRENCY
    posted_nano: int
    held_nano: int
    available_nano: int
    posted: str
    held: str
    available: str


class Entry(BaseModel):
    """One posting as the account's credit sees it: `amount` is negative where it took credit."""

    id: str
    kind: str
    amount_nano: int
    amount: str
    contra_account: str = Field(description="the ledger account on the posting's other side")
    reference: str = Field(description="the request, grant, adjustment or batch of usage that caused it")
    happened_at: datetime


class Ledger(BaseModel):
    """A page of entries, newest first; `next_cursor` is null on the last one."""

    account_id: str
    currency: Literal["USD"] = CURRENCY
    entries: list[Entry]
    next_cursor: str | None


def add_routes(app: FastAPI, pool: Pool, keys: KeyDirectory, tokens: Verifier | None = None) -> None:
    app.add_exception_handler(psycopg.OperationalError, _render_database_away)
    router = APIRouter(prefix="/v1")

    Customer = Annotated[Caller, Depends(customers(keys, tokens))]  # noqa: N806 - a type

    @router.get("/balance")
    async def get_balance(caller: Customer) -> Balance:
        async with pool.connection() as connection:
            account = await store.read_account(connection, caller.account_id)
        # A key may be used before the first credit: its account then has nothing.
        return _render(account or Account(caller.account_id, 0, 0))

    @router.get("/ledger")
    async def get_ledger(
        caller: Customer,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        cursor: Annotated[str, Query(pattern="^[0-9]{1,18}$")] = str(NEWEST),
    ) -> Ledger:
        async with pool.connection() as connection:
            rows = await store.read_postings(connection, caller.account_id, int(cursor), limit + 1)
        more = len(rows) > limit
        entries = [_render_entry(**row) for row in rows[:limit]]
        return Ledger(account_id=caller.account_id, entries=entries, next_cursor=entries[-1].id if more else None)

    app.include_router(router)


def _render(account: Account) -> Balance:
    return Balance(
        account_id=account.account_id,
        posted_nano=account.posted_nano,
        held_nano=account.held_nano,
        available_nano=account.available_nano,
        posted=decimal_from_nano(account.posted_nano),
        held=decimal_from_nano(account.held_nano),
        available=decimal_from_nano(account.available_nano),
    )


def _render_entry(
    *, posting_id: int, kind: str, debit: str, credit: str, amount_nano: int, reference: str, happened_at: datetime
) -> Entry:
    takes = debit == LedgerAccount.CUSTOMER_CREDIT
    signed_nano = -amount_nano if takes else amount_nano
    return Entry(
        id=str(posting_id),
        kind=kind,
        amount_nano=signed_nano,
        amount=decimal_from_nano(signed_nano),
        contra_account=credit if takes else debit,
        reference=reference,
        happened_at=happened_at,
    )


async def _render_database_away(request: Request, _error: Exception) -> JSONResponse:
    problem = Problem(
        503, "storage_unavailable", "the database does not answer; try again", headers={"Retry-After": "1"}
    )
    return problem_response(problem, request.url.path)
