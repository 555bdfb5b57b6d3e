"""What operators ask the reconciler."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import AwareDatetime, SecretStr

from tollgate_billing.reconciliation.reconciler import Reconciler
from tollgate_billing.reconciliation.report import Report
from tollgate_billing.reconciliation.worker import UNANSWERED, ReconciliationWorker
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
    """Serve operators; without a reconciler tell them what it lacks."""
    router = APIRouter(
        dependencies=[Depends(operators(operator_token, tokens))], responses=problems(401, 403, 422, 503)
    )

    @router.get("/v1/reconciliation")
    async def newest_reconciliation() -> Report:
        """The newest of the reconciliations that run all the time."""
        if worker is None:
            raise _not_configured()
        if worker.newest is None:
            detail = "no reconciliation has ended since this service started; try again in a moment"
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "reconciliation_pending", detail, headers={"Retry-After": "1"}
            )
        return worker.newest

    @router.post("/v1/reconciliations")
    async def reconcile_now(
        start: Annotated[AwareDatetime | None, Query(alias="from", description="default: everything there is")] = None,
        end: Annotated[AwareDatetime | None, Query(alias="to", description="not included; default now")] = None,
    ) -> Report:
        """Reconcile now what was sent between two moments."""
        if reconciler is None:
            raise _not_configured()
        if start is not None and end is not None and start >= end:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "empty_range",
                f"nothing lies between {start.isoformat()} and {end.isoformat()}: `from` must be before `to`",
                field="from",
            )
        try:
            return await reconciler.run(start, end)
        except UNANSWERED as error:
            detail = f"the reconciliation could not be made: {error}"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "reconciliation_failed", detail) from error

    app.include_router(router)


def _not_configured() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "reconciliation_not_configured",
        "the reconciler needs TOLLGATE_INTERNAL_TOKEN, TOLLGATE_BALANCE_URL and TOLLGATE_ANALYTICS_URL",
    )
