"""Balances for other services, such as accounts, which shows them to its operators."""

from fastapi import APIRouter, Depends, FastAPI

from tollgate_balance.accounts import schemas
from tollgate_balance.accounts.api import AccountId, AccountReader, Reader
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.postgres.connection import Pool


def add_routes(app: FastAPI, pool: Pool, token: str | None, tokens: Verifier | None = None) -> None:
    """Add the routes for services that present their token, or the secret `token`."""
    check = internal_callers(token, "balances_not_configured", "no service is trusted", tokens)
    app.state.account_reader = AccountReader(pool)
    app.include_router(router, dependencies=[Depends(check)])


router = APIRouter(prefix="/internal/v1/accounts")


@router.get("/{account_id}/balance")
async def get_balance(account_id: AccountId, reader: Reader) -> schemas.Balance:
    return await reader.balance(account_id)
