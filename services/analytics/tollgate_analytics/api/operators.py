"""HTTP: what operators ask of all accounts."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import SecretStr

from tollgate_analytics.api.validation import only
from tollgate_analytics.query.operator_reports import (
    Balances,
    FailedAttempts,
    MarginGroup,
    Margins,
    RunningOut,
    report_failed_attempts,
    report_margins,
    report_running_out,
)
from tollgate_analytics.query.parameters import parse_range
from tollgate_analytics.query.store import Store
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import operators
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.http import problems

Start = Annotated[str | None, Query(description="RFC 3339; default 30 days before the end")]
End = Annotated[str | None, Query(description="RFC 3339, not included; default now")]
Limit = Annotated[int, Query(ge=1, le=1000)]


def add_routes(
    app: FastAPI, store: Store, balances: Balances, secret: SecretStr | None, tokens: Verifier | None
) -> None:
    router = APIRouter(
        prefix="/v1/operator",
        tags=["operators"],
        dependencies=[Depends(operators(secret, tokens))],
        responses=problems(400, 401, 403),
    )

    @router.get("/margins", dependencies=[only("group_by", "start", "end", "limit")])
    async def margins(
        group_by: MarginGroup = MarginGroup.ACCOUNT, start: Start = None, end: End = None, limit: Limit = 100
    ) -> Margins:
        """Revenue, provider cost, margin and error rate by account, model or provider, the highest revenue first."""
        return await report_margins(store, parse_range(start, end, utc_now()), group_by, limit)

    @router.get("/failed-attempts", dependencies=[only("start", "end", "limit")])
    async def failed_attempts(start: Start = None, end: End = None, limit: Limit = 100) -> list[FailedAttempts]:
        """The attempts that failed, by provider, target and answer, whether or not another served."""
        return await report_failed_attempts(store, parse_range(start, end, utc_now()), limit)

    @router.get("/running-out", dependencies=[only("within_hours")])
    async def running_out(within_hours: Annotated[int, Query(ge=1, le=24 * 90)] = 72) -> list[RunningOut]:
        """Accounts whose credit ends soon if they go on as in the last day, the soonest first."""
        if (waiting_for := balances.topic.waiting_for()) is not None:
            detail = f"starting, still reading {waiting_for}; try again in a moment"
            raise Problem(503, "not_ready", detail, headers={"Retry-After": "1"})
        return await report_running_out(store, balances, utc_now(), timedelta(hours=within_hours))

    app.include_router(router)
