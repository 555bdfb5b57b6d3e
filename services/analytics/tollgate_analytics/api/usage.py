"""The routes for usage reports and for the freshness of reports."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from tollgate_analytics.api.dependencies import AllowOnly, CallerScope, KeysOf, ServicesOf, StoreOf
from tollgate_analytics.api.parameters import UsageParameters
from tollgate_analytics.query.cursors import GroupCursor, parse_group_cursor, usage_digest
from tollgate_analytics.query.parameters import (
    check_parameter_names,
    parse_filters,
    parse_granularity,
    parse_group_by,
    parse_range,
    parse_time_zone,
)
from tollgate_analytics.query.reports import UsageReporter, report_freshness
from tollgate_analytics.query.schemas import Freshness, Usage
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.usage_query import UsageQuery
from tollgate_common.clock import utc_now

router = APIRouter()


@router.get("/v1/usage", response_model_exclude_unset=True)
async def usage(
    request: Request, scope: CallerScope, store: StoreOf, keys: KeysOf, parameters: Annotated[UsageParameters, Query()]
) -> Usage:
    """Return what the caller's account used and what it cost, by time and any dimensions."""
    check_parameter_names(request.query_params, UsageParameters.model_fields)
    query, cursor = read_usage_query(parameters, scope)
    return await UsageReporter(store, keys, scope).report(
        query,
        limit=parameters.limit,
        cursor=cursor,
        percentiles=parameters.percentiles,
        with_previous=parameters.compare is not None,
    )


@router.get("/v1/freshness", dependencies=[Depends(AllowOnly())])
async def freshness(_scope: CallerScope, store: StoreOf, services: ServicesOf) -> Freshness:
    """Return how far the reports are behind the events."""
    return await report_freshness(store, services.consumer.lag())


def read_usage_query(parameters: UsageParameters, scope: Scope) -> tuple[UsageQuery, GroupCursor | None]:
    """Return the query, and the cursor of the requested page unless it is the first one."""
    time_range = parse_range(parameters.start, parameters.end, utc_now())
    query = UsageQuery(
        range=time_range,
        group_by=parse_group_by(parameters.group_by),
        granularity=parse_granularity(parameters.granularity, time_range),
        filters=parse_filters(parameters.by_dimension()),
        time_zone=parse_time_zone(parameters.time_zone),
        top=parameters.top,
    )
    if parameters.cursor is None:
        return query, None
    cursor = parse_group_cursor(parameters.cursor, usage_digest(scope, query))
    return query._replace(range=cursor.range), cursor
