"""The reconciliation routes of the ledger: those of every source, and write-offs, which only the ledger has."""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import AwareDatetime

from tollgate_balance.reconciliation.source import LedgerReconciliationSource
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.reconciliation import source
from tollgate_common.reconciliation.source import WriteOffs


def add_routes(
    app: FastAPI, ledger: LedgerReconciliationSource, token: str | None, tokens: Verifier | None = None
) -> None:
    """Add the routes for reconcilers that present a service's token, or the secret `token`."""
    check = internal_callers(token, "reconciliation_not_configured", "the reconciler cannot be authenticated", tokens)
    app.state.ledger_source = ledger
    app.include_router(router, dependencies=[Depends(check)])
    source.add_routes(app, ledger, token, tokens)


def ledger_source(request: Request) -> LedgerReconciliationSource:
    ledger: LedgerReconciliationSource = request.app.state.ledger_source
    return ledger


router = APIRouter(prefix=source.PATH)


@router.get("/write-offs")
async def write_offs(
    start: AwareDatetime, end: AwareDatetime, ledger: Annotated[LedgerReconciliationSource, Depends(ledger_source)]
) -> WriteOffs:
    return await ledger.write_offs(start, end)
