"""What the reconciler asks: `tollgate_common.reconciliation.source`, and the write-offs, which only the ledger has."""

from fastapi import FastAPI
from pydantic import AwareDatetime

from tollgate_balance.store.reconciliation import LedgerReconciliationSource
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.reconciliation import source
from tollgate_common.reconciliation.source import WriteOffs


def add_routes(
    app: FastAPI, books: LedgerReconciliationSource, token: str | None, tokens: Verifier | None = None
) -> None:
    """Serve reconcilers that show a service's token or the secret `token`."""
    router = source.create_router(token, tokens)

    @router.get("/write-offs")
    async def write_offs(start: AwareDatetime, end: AwareDatetime) -> WriteOffs:
        return await books.write_offs(start, end)

    app.include_router(router)
    source.add_routes(app, books, token, tokens)
