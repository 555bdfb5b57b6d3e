"""The routes for single requests: their list, one in detail, and all of a range as a file."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from tollgate_analytics.api.dependencies import CallerScope, KeysOf, ServicesOf, StoreOf
from tollgate_analytics.api.exports import download
from tollgate_analytics.api.parameters import ExportParameters, RequestParameters
from tollgate_analytics.query.cursors import encode_cursor, parse_request_cursor, request_list_digest
from tollgate_analytics.query.generation import describe_request
from tollgate_analytics.query.parameters import check_parameter_names, parse_filters, parse_range
from tollgate_analytics.query.reports import list_requests
from tollgate_analytics.query.schemas import Generation, RequestPage
from tollgate_analytics.query.usage_query import EVER
from tollgate_common.clock import utc_now

router = APIRouter()


@router.get("/v1/requests", response_model_exclude_unset=True)
async def requests(
    request: Request,
    scope: CallerScope,
    store: StoreOf,
    keys: KeysOf,
    parameters: Annotated[RequestParameters, Query()],
) -> RequestPage:
    """Return the closed requests of the caller's account, newest first."""
    check_parameter_names(request.query_params, RequestParameters.model_fields)
    filters = parse_filters(parameters.by_dimension())
    digest = request_list_digest(scope, filters, parameters.start, parameters.end)
    start, end = parameters.start or EVER.start.isoformat(), parameters.end or EVER.end.isoformat()
    page, next_cursor = await list_requests(
        store,
        keys,
        scope,
        time_range=parse_range(start, end, utc_now()),
        filters=filters,
        before=parse_request_cursor(parameters.cursor, digest),
        limit=parameters.limit,
    )
    return page.model_copy(update={"next_cursor": encode_cursor(next_cursor, digest) if next_cursor else None})


@router.get("/v1/generation")
async def generation(
    request: Request, scope: CallerScope, services: ServicesOf, request_id: Annotated[str, Query(alias="id")]
) -> Generation:
    """Return one request: its tokens, its cost by line, and every provider attempt."""
    check_parameter_names(request.query_params, ("id",))
    return await describe_request(services.store, services.keys, services.prices, scope, request_id)


@router.get("/v1/requests/export")
async def export(
    request: Request, scope: CallerScope, store: StoreOf, parameters: Annotated[ExportParameters, Query()]
) -> Response:
    """Stream every request of a range as a file."""
    check_parameter_names(request.query_params, ExportParameters.model_fields)
    time_range = parse_range(parameters.start, parameters.end, utc_now())
    return await download(store, scope, time_range, parse_filters(parameters.by_dimension()), parameters.format)
