"""What other services ask about any account, such as accounts for its operators."""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path

from tollgate_balance.api import views
from tollgate_balance.api.accounts import Reader
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.postgres.connection import Pool


def add_routes(app: FastAPI, pool: Pool, token: str | None, tokens: Verifier | None = None) -> None:
    """Serve services that show their token or the secret `token`."""
    check = internal_callers(token, "balances_not_configured", "no service is trusted", tokens)
    router = APIRouter(prefix="/internal/v1/accounts", dependencies=[Depends(check)])
    reader = Reader(pool)

    @router.get("/{account_id}/balance")
    async def get_balance(account_id: Annotated[str, Path(pattern="^[!-~]{1,128}$")]) -> views.Balance:
        return await reader.balance(account_id)

    app.include_router(router)
