"""The operators' routes: reports over all accounts."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from tollgate_analytics.api.dependencies import AllowOnly, ServicesOf, StoreOf, require_operator
from tollgate_analytics.query.operator_reports import (
    FailedAttempts,
    MarginGroup,
    Margins,
    RunningOut,
    report_failed_attempts,
    report_margins,
    report_running_out,
)
from tollgate_analytics.query.parameters import parse_range
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.http import problems

Start = Annotated[str | None, Query(description="RFC 3339; default 30 days before the end")]
End = Annotated[str | None, Query(description="RFC 3339, exclusive; default now")]
Limit = Annotated[int, Query(ge=1, le=1000)]
WithinHours = Annotated[int, Query(ge=1, le=24 * 90)]

router = APIRouter(
    prefix="/v1/operator",
    tags=["operators"],
    dependencies=[Depends(require_operator)],
    responses=problems(400, 401, 403),
)


@router.get("/margins", dependencies=[Depends(AllowOnly("group_by", "start", "end", "limit"))])
async def margins(
    store: StoreOf,
    group_by: MarginGroup = MarginGroup.ACCOUNT,
    start: Start = None,
    end: End = None,
    limit: Limit = 100,
) -> Margins:
    """Return revenue, provider cost, margin and error rate by account, model or provider, highest revenue first."""
    return await report_margins(store, parse_range(start, end, utc_now()), group_by, limit)


@router.get("/failed-attempts", dependencies=[Depends(AllowOnly("start", "end", "limit"))])
async def failed_attempts(
    store: StoreOf, start: Start = None, end: End = None, limit: Limit = 100
) -> list[FailedAttempts]:
    """Return the failed attempts by provider, target and response, whether or not a later attempt succeeded."""
    return await report_failed_attempts(store, parse_range(start, end, utc_now()), limit)


@router.get("/running-out", dependencies=[Depends(AllowOnly("within_hours"))])
async def running_out(services: ServicesOf, within_hours: WithinHours = 72) -> list[RunningOut]:
    """Return the accounts whose credit ends soon at the last day's rate of spending, soonest first."""
    if (waiting_for := services.balances.topic.waiting_for()) is not None:
        detail = f"this instance is starting and still reads {waiting_for}; try again in a moment"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail, headers={"Retry-After": "1"})
    return await report_running_out(services.store, services.balances, utc_now(), timedelta(hours=within_hours))
