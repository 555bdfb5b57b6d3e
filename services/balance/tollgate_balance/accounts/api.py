"""Balances, grants, ledger entries and budgets: for an account's owner, and for operators on any account."""

from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from tollgate_balance.accounts import schemas, store
from tollgate_balance.ledger import store as ledger
from tollgate_balance.ledger.accounts import Account, Kind
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import Caller, customers, operators
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.errors import Problem
from tollgate_common.events import KeyRecord, UsageScope
from tollgate_common.http import expect_stores_away, problems
from tollgate_common.postgres.connection import Pool

MAX_PAGE = 1000
# Expiring grants in a balance. Further ones are in the pages of /v1/grants.
MAX_EXPIRING = 100


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    limit: int = Field(100, ge=1, le=MAX_PAGE)


class GrantsPage(Page):
    open: bool = Field(default=False, description="only grants with a remainder")
    cursor: str = Field(store.LAST_ID, min_length=1, max_length=128, pattern="^[!-~\x7f]+$")


class LedgerPage(Page):
    kind: Kind | None = Field(None, description="default: all kinds")
    start: AwareDatetime = Field(store.OLDEST, alias="from", description="when it was posted; default: the beginning")
    end: AwareDatetime | None = Field(None, alias="to", description="not included; default: now")
    cursor: str | None = Field(None, pattern="^[0-9]{1,17}-[0-9]{1,18}$")


class AccountReader:
    """Reads one account. Each method returns one snapshot of the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def balance(self, account_id: str, *, must_exist: bool = False) -> schemas.Balance:
        async with store.snapshot(self._pool) as connection:
            account = await ledger.read_account(connection, account_id)
            grants = await store.read_grants(connection, account_id, store.LAST_ID, MAX_EXPIRING, only_open=True)
        if account is None and must_exist:
            raise Problem(
                404,
                "account_not_found",
                f"no credit or usage was ever posted for the account {account_id!r}; check the account id",
            )
        # A key may be used before the first credit. Its account then has a balance of 0.
        return schemas.balance(account or Account(account_id, 0, 0), grants)

    async def grants(self, account_id: str, page: GrantsPage) -> schemas.Grants:
        async with store.snapshot(self._pool) as connection:
            rows = await store.read_grants(connection, account_id, page.cursor, page.limit + 1, only_open=page.open)
        grants = [schemas.grant(**row) for row in rows[: page.limit]]
        next_cursor = grants[-1].grant_id if len(rows) > page.limit else None
        return schemas.Grants(account_id=account_id, grants=grants, next_cursor=next_cursor)

    async def ledger_page(self, account_id: str, page: LedgerPage) -> schemas.Ledger:
        before = store.NEWEST if page.end is None else store.Place(page.end, 0)
        if page.cursor is not None:
            before = min(before, schemas.place_of(page.cursor))
        async with store.snapshot(self._pool) as connection:
            rows = await store.read_postings(
                connection, account_id, kind=page.kind, start=page.start, before=before, limit=page.limit + 1
            )
        shown = rows[: page.limit]
        return schemas.Ledger(
            account_id=account_id,
            entries=[schemas.entry(**row) for row in shown],
            next_cursor=schemas.cursor_of(shown[-1]) if len(rows) > page.limit else None,
        )

    async def budgets(self, account_id: str, key: KeyRecord | None) -> schemas.Budgets:
        """Return the budgets of a key, or without a key all budgets that were used in their current periods."""
        async with store.snapshot(self._pool) as connection:
            rows = (
                await store.read_current_budgets(connection, account_id)
                if key is None
                else await store.read_budgets(connection, account_id, key.budgets)
            )
        return schemas.Budgets(
            account_id=account_id,
            key_id=None if key is None else key.key_id,
            budgets=[schemas.budget(**row) for row in rows],
        )


def add_routes(
    app: FastAPI,
    pool: Pool,
    keys: KeyDirectory,
    tokens: Verifier | None = None,
    operator_token: SecretStr | None = None,
) -> None:
    """Add the routes of customers, who present a key or token, and those of operators.

    Args:
        app: gets the routes and, in its state, what they depend on.
        pool: connections to the ledger's database.
        keys: the API keys that are valid now.
        tokens: verifies access tokens; without it only API keys and `operator_token` are accepted.
        operator_token: the secret of operators; without it, only their access tokens are accepted.
    """
    expect_stores_away(app, psycopg.OperationalError)
    app.state.account_reader = AccountReader(pool)
    app.state.key_directory = keys
    app.state.customer = customers(keys, tokens)
    app.include_router(customer_router)
    app.include_router(operator_router, dependencies=[Depends(operators(operator_token, tokens))])


def account_reader(request: Request) -> AccountReader:
    reader: AccountReader = request.app.state.account_reader
    return reader


def key_directory(request: Request) -> KeyDirectory:
    keys: KeyDirectory = request.app.state.key_directory
    return keys


async def customer(request: Request) -> Caller:
    caller: Caller = await request.app.state.customer(request)
    return caller


Reader = Annotated[AccountReader, Depends(account_reader)]
Keys = Annotated[KeyDirectory, Depends(key_directory)]
Customer = Annotated[Caller, Depends(customer)]
AccountId = Annotated[str, Path(pattern="^[!-~]{1,128}$")]

customer_router = APIRouter(prefix="/v1", responses=problems(401, 403, 422, 503))
operator_router = APIRouter(prefix="/v1/accounts/{account_id}", responses=problems(401, 403, 404, 422, 503))


@customer_router.get("/balance")
async def get_balance(caller: Customer, reader: Reader) -> schemas.Balance:
    return await reader.balance(caller.account_id)


@customer_router.get("/grants")
async def get_grants(caller: Customer, reader: Reader, page: Annotated[GrantsPage, Query()]) -> schemas.Grants:
    return await reader.grants(_whole_account(caller), page)


@customer_router.get("/ledger")
async def get_ledger(caller: Customer, reader: Reader, page: Annotated[LedgerPage, Query()]) -> schemas.Ledger:
    return await reader.ledger_page(_whole_account(caller), page)


@customer_router.get("/budgets", responses=problems(404))
async def get_budgets(
    caller: Customer,
    reader: Reader,
    keys: Keys,
    key_id: Annotated[str | None, Query(description="default: the calling key")] = None,
) -> schemas.Budgets:
    key = caller.key if key_id is None else keys.find_id(key_id)
    if key_id is not None and (caller.key is None or key_id != caller.key.key_id):
        _whole_account(caller)
    if key_id is not None and (key is None or key.account_id != caller.account_id):
        detail = (
            f"your account has no API key {key_id!r}, or the key was revoked; GET /v1/keys of accounts lists its keys"
        )
        raise Problem(404, "key_not_found", detail, field="key_id")
    return await reader.budgets(caller.account_id, key)


def _whole_account(caller: Caller) -> str:
    """Return the account of a caller that may read what other keys of the account did.

    Raises:
        Problem: 403, the caller's key has a narrower usage scope.
    """
    if caller.usage_scope is not UsageScope.ACCOUNT:
        detail = (
            f"this API key has the usage scope {caller.usage_scope!s}, but this path reads the whole account; "
            "use a key with the scope account or a member's token"
        )
        raise Problem(403, "insufficient_scope", detail)
    return caller.account_id


@operator_router.get("/balance")
async def get_account_balance(account_id: AccountId, reader: Reader) -> schemas.Balance:
    return await reader.balance(account_id, must_exist=True)


@operator_router.get("/grants")
async def get_account_grants(
    account_id: AccountId, reader: Reader, page: Annotated[GrantsPage, Query()]
) -> schemas.Grants:
    return await reader.grants(account_id, page)


@operator_router.get("/ledger")
async def get_account_ledger(
    account_id: AccountId, reader: Reader, page: Annotated[LedgerPage, Query()]
) -> schemas.Ledger:
    return await reader.ledger_page(account_id, page)


@operator_router.get("/budgets")
async def get_account_budgets(account_id: AccountId, reader: Reader) -> schemas.Budgets:
    return await reader.budgets(account_id, None)
