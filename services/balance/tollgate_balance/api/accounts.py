"""What an account's owner may ask, and operators of any account: parse, call, render."""

from collections.abc import Callable, Coroutine
from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends, FastAPI, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from tollgate_balance.api import views
from tollgate_balance.ledger import Account, Kind
from tollgate_balance.store import ledger, pages
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import Caller, customers, operators
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.errors import Problem
from tollgate_common.events import KeyRecord, UsageScope
from tollgate_common.http import expect_stores_away, problems
from tollgate_common.postgres.connection import Pool

MAX_PAGE = 1000
# What the balance lists as expiring; who has more grants reads them page by page.
MAX_EXPIRING = 100


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    limit: int = Field(100, ge=1, le=MAX_PAGE)


class GrantsPage(Page):
    open: bool = Field(default=False, description="only grants of which something remains")
    cursor: str = Field(pages.LAST_ID, min_length=1, max_length=128, pattern="^[!-~\x7f]+$")


class LedgerPage(Page):
    kind: Kind | None = Field(None, description="default: all kinds")
    start: AwareDatetime = Field(pages.OLDEST, alias="from", description="when it was posted; default: the beginning")
    end: AwareDatetime | None = Field(None, alias="to", description="not included; default: now")
    cursor: str | None = Field(None, pattern="^[0-9]{1,17}-[0-9]{1,18}$")


class Reader:
    """Reads one account."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def balance(self, account_id: str, *, must_exist: bool = False) -> views.Balance:
        async with pages.snapshot(self._pool) as connection:
            account = await ledger.read_account(connection, account_id)
            grants = await pages.read_grants(connection, account_id, pages.LAST_ID, MAX_EXPIRING, only_open=True)
        if account is None and must_exist:
            raise Problem(404, "account_not_found", "no credit and no usage of such an account was ever posted")
        # A key may be used before the first credit: its account then has nothing.
        return views.balance(account or Account(account_id, 0, 0), grants)

    async def grants(self, account_id: str, page: GrantsPage) -> views.Grants:
        async with pages.snapshot(self._pool) as connection:
            rows = await pages.read_grants(connection, account_id, page.cursor, page.limit + 1, only_open=page.open)
        grants = [views.grant(**row) for row in rows[: page.limit]]
        next_cursor = grants[-1].grant_id if len(rows) > page.limit else None
        return views.Grants(account_id=account_id, grants=grants, next_cursor=next_cursor)

    async def ledger_page(self, account_id: str, page: LedgerPage) -> views.Ledger:
        before = pages.NEWEST if page.end is None else pages.Place(page.end, 0)
        if page.cursor is not None:
            before = min(before, views.place_of(page.cursor))
        async with pages.snapshot(self._pool) as connection:
            rows = await pages.read_postings(
                connection, account_id, kind=page.kind, start=page.start, before=before, limit=page.limit + 1
            )
        shown = rows[: page.limit]
        return views.Ledger(
            account_id=account_id,
            entries=[views.entry(**row) for row in shown],
            next_cursor=views.cursor_of(shown[-1]) if len(rows) > page.limit else None,
        )

    async def budgets(self, account_id: str, key: KeyRecord | None) -> views.Budgets:
        """Of a key; without one, of all that were used in their current periods."""
        async with pages.snapshot(self._pool) as connection:
            rows = (
                await pages.read_current_budgets(connection, account_id)
                if key is None
                else await pages.read_budgets(connection, account_id, key.budgets)
            )
        return views.Budgets(
            account_id=account_id,
            key_id=None if key is None else key.key_id,
            budgets=[views.budget(**row) for row in rows],
        )


def add_routes(
    app: FastAPI,
    pool: Pool,
    keys: KeyDirectory,
    tokens: Verifier | None = None,
    operator_token: SecretStr | None = None,
) -> None:
    """Serve owners, by their key or token, and operators."""
    expect_stores_away(app, psycopg.OperationalError)
    reader = Reader(pool)
    _add_customers_routes(app, reader, keys, tokens)
    _add_operators_routes(app, reader, operators(operator_token, tokens))


def _add_customers_routes(app: FastAPI, reader: Reader, keys: KeyDirectory, tokens: Verifier | None) -> None:
    router = APIRouter(prefix="/v1", responses=problems(401, 403, 422, 503))
    customer = customers(keys, tokens)
    Customer = Annotated[Caller, Depends(customer)]  # noqa: N806 - a type

    @router.get("/balance")
    async def get_balance(caller: Customer) -> views.Balance:
        return await reader.balance(caller.account_id)

    @router.get("/grants")
    async def get_grants(caller: Customer, page: Annotated[GrantsPage, Query()]) -> views.Grants:
        return await reader.grants(_whole_account(caller), page)

    @router.get("/ledger")
    async def get_ledger(caller: Customer, page: Annotated[LedgerPage, Query()]) -> views.Ledger:
        return await reader.ledger_page(_whole_account(caller), page)

    @router.get("/budgets", responses=problems(404))
    async def get_budgets(
        caller: Customer, key_id: Annotated[str | None, Query(description="default: the key that asks")] = None
    ) -> views.Budgets:
        key = caller.key if key_id is None else keys.find_id(key_id)
        if key_id is not None and (caller.key is None or key_id != caller.key.key_id):
            _whole_account(caller)
        if key_id is not None and (key is None or key.account_id != caller.account_id):
            raise Problem(404, "key_not_found", "your account has no such key, or it was revoked", field="key_id")
        return await reader.budgets(caller.account_id, key)

    app.include_router(router)


def _whole_account(caller: Caller) -> str:
    """The account of a caller who may see what other keys of it did.

    Raises:
        Problem: 403.
    """
    if caller.usage_scope is not UsageScope.ACCOUNT:
        detail = f"this API key may read the usage of its {caller.usage_scope}; this is of the whole account"
        raise Problem(403, "insufficient_scope", detail)
    return caller.account_id


def _add_operators_routes(app: FastAPI, reader: Reader, operator: Callable[..., Coroutine[None, None, None]]) -> None:
    router = APIRouter(
        prefix="/v1/accounts/{account_id}",
        dependencies=[Depends(operator)],
        responses=problems(401, 403, 404, 422, 503),
    )
    AccountId = Annotated[str, Path(pattern="^[!-~]{1,128}$")]  # noqa: N806 - a type

    @router.get("/balance")
    async def get_balance(account_id: AccountId) -> views.Balance:
        return await reader.balance(account_id, must_exist=True)

    @router.get("/grants")
    async def get_grants(account_id: AccountId, page: Annotated[GrantsPage, Query()]) -> views.Grants:
        return await reader.grants(account_id, page)

    @router.get("/ledger")
    async def get_ledger(account_id: AccountId, page: Annotated[LedgerPage, Query()]) -> views.Ledger:
        return await reader.ledger_page(account_id, page)

    @router.get("/budgets")
    async def get_budgets(account_id: AccountId) -> views.Budgets:
        return await reader.budgets(account_id, None)

    app.include_router(router)
