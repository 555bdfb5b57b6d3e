"""Reconciliation reports, for operators."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import AwareDatetime, SecretStr

from tollgate_billing.reconciliation.reconciler import Reconciler
from tollgate_billing.reconciliation.report import Report
from tollgate_billing.reconciliation.worker import UNAVAILABLE, ReconciliationWorker
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import operators
from tollgate_common.errors import Problem
from tollgate_common.http import problems


def add_routes(
    app: FastAPI,
    reconciler: Reconciler | None,
    worker: ReconciliationWorker | None,
    operator_token: SecretStr | None,
    tokens: Verifier | None = None,
) -> None:
    """Add the routes of operators. Without a reconciler they return 503 and name the missing settings."""
    app.state.reconciler = reconciler
    app.state.reconciliation_worker = worker
    app.include_router(router, dependencies=[Depends(operators(operator_token, tokens))])


def configured_reconciler(request: Request) -> Reconciler:
    reconciler: Reconciler | None = request.app.state.reconciler
    if reconciler is None:
        raise _not_configured()
    return reconciler


def configured_worker(request: Request) -> ReconciliationWorker:
    worker: ReconciliationWorker | None = request.app.state.reconciliation_worker
    if worker is None:
        raise _not_configured()
    return worker


router = APIRouter(responses=problems(401, 403, 422, 503))


@router.get("/v1/reconciliation")
async def newest_reconciliation(worker: Annotated[ReconciliationWorker, Depends(configured_worker)]) -> Report:
    """Return the newest report of the continuous reconciliation."""
    if worker.newest is None:
        detail = "no reconciliation has ended since this service started; try again in a moment"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "reconciliation_pending", detail, headers={"Retry-After": "1"})
    return worker.newest


@router.post("/v1/reconciliations")
async def reconcile_now(
    reconciler: Annotated[Reconciler, Depends(configured_reconciler)],
    start: Annotated[AwareDatetime | None, Query(alias="from", description="default: all records")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="exclusive; default now")] = None,
) -> Report:
    """Reconcile the records of a time range now."""
    if start is not None and end is not None and start >= end:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "empty_range",
            f"the range from {start.isoformat()} to {end.isoformat()} is empty: `from` must be before `to`",
            field="from",
        )
    try:
        return await reconciler.run(start, end)
    except UNAVAILABLE as error:
        detail = f"the reconciliation could not run: {error}"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "reconciliation_failed", detail) from error


def _not_configured() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "reconciliation_not_configured",
        "reconciliation needs TOLLGATE_INTERNAL_TOKEN, TOLLGATE_BALANCE_URL and TOLLGATE_ANALYTICS_URL; set them and "
        "restart billing",
    )
