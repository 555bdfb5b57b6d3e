"""The routes of OpenAI's Usage and Costs API. `query.openai_usage` has its parameters, pages and results."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from tollgate_analytics.api.dependencies import CallerScope, StoreOf
from tollgate_analytics.api.errors import OPENAI_PREFIX
from tollgate_analytics.query.openai_usage import REPORTS, Report, parse_query, report_page
from tollgate_common.clock import utc_now

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": f"{HTTPStatus(status).phrase}, with OpenAI's error body"} for status in (400, 401, 429)
}

router = APIRouter(tags=["OpenAI"], responses=ERRORS)


async def requested_report(request: Request) -> Report:
    path: str = request.scope["route"].path
    return REPORTS[path.removeprefix(OPENAI_PREFIX)]


# The parameters are read from the query string, because OpenAI's clients write a list as `name[]`.
async def page(
    request: Request, scope: CallerScope, store: StoreOf, report: Annotated[Report, Depends(requested_report)]
) -> Response:
    """Return a page of buckets as OpenAI documents it; `start_time` is required."""
    query = parse_query(report, request.query_params.multi_items(), scope, utc_now())
    return Response(await report_page(store, scope, report, query), media_type="application/json")


for _path, _report in REPORTS.items():
    router.add_api_route(f"{OPENAI_PREFIX}{_path}", page, summary=_report.name)
