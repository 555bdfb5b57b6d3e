"""HTTP: OpenAI's Usage and Costs API. Its parameters, pages and results stand in `openai_usage`."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from tollgate_analytics.callers import ScopeOf
from tollgate_analytics.openai_usage import REPORTS, Report, parse_question, report_page
from tollgate_analytics.scopes import Scope
from tollgate_analytics.store import Store
from tollgate_common.clock import utc_now
from tollgate_common.http import problems


def add_routes(app: FastAPI, store: Store, scope_of: ScopeOf) -> None:
    for path, report in REPORTS.items():
        _add_route(app, store, scope_of, path, report)


def _add_route(app: FastAPI, store: Store, scope_of: ScopeOf, path: str, report: Report) -> None:
    Whose = Annotated[Scope, Depends(scope_of)]  # noqa: N806 - a type

    # What it takes is read from the query itself: OpenAI's clients write a list as `name[]`.
    @app.get(f"/v1/organization/{path}", responses=problems(400, 401, 429), tags=["OpenAI"], summary=report.name)
    async def page(request: Request, scope: Whose) -> Response:
        """As OpenAI documents it; `start_time` is required."""
        question = parse_question(report, request.query_params.multi_items(), scope, utc_now())
        return Response(await report_page(store, scope, report, question), media_type="application/json")
