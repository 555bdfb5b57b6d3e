"""When all is quiet again: the reconciliation, and what the recount leaves out."""

from typing import Any

import httpx

from chaos.recount import ReconciliationSource
from e2e.running import Tollgate
from waiting import until

SETTLED_WITHIN_S = 300


async def forget_first_calls(tollgate: Tollgate, books: ReconciliationSource) -> None:
    """Those with which the customer tried whether they are let in: they name no user."""
    first = books.pop("")
    assert len(first.opened) == len(first.closed) == len(first.charges)


async def settled_report(tollgate: Tollgate) -> dict[str, Any]:
    """The reconciliation once every event has reached everyone: no spool has one left, and nobody lags."""
    report: dict[str, Any] = {}

    async def is_settled() -> bool:
        nonlocal report
        spools = (tollgate.system.data / "spool").glob("*.spool")
        if any(spool.stat().st_size for spool in spools):
            return False
        try:
            answer = await tollgate.http.post(
                f"{tollgate.system.url('billing')}/v1/reconciliations", headers=operator(tollgate)
            )
        except httpx.TransportError:
            return False
        report = answer.json()
        return answer.is_success and not report["lag"]

    await until(is_settled, within_s=SETTLED_WITHIN_S)
    return report


def operator(tollgate: Tollgate) -> dict[str, str]:
    return {"Authorization": f"Bearer {tollgate.system.secret('operator-token')}"}
