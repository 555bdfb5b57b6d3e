"""HTTP: OpenAI's Usage and Costs API. Its parameters, pages and results stand in `openai_usage`."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from tollgate_analytics.api.callers import ScopeOf
from tollgate_analytics.query.openai_usage import REPORTS, Report, parse_question, report_page
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import Store
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": f"{HTTPStatus(status).phrase}, as OpenAI words it"} for status in (400, 401, 429)
}


class OpenAIRoute(APIRoute):
    """Words its errors as OpenAI does, for the tools that read them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_and_word(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return error_of(problem)

        return handle_and_word


def error_of(problem: Problem) -> JSONResponse:
    """OpenAI's error body (https://platform.openai.com/docs/guides/error-codes), with the problem's status."""
    kind = "server_error" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    error = {"message": problem.detail, "type": kind, "param": problem.field, "code": problem.code}
    return JSONResponse({"error": error}, problem.status, problem.headers)


def add_routes(app: FastAPI, store: Store, scope_of: ScopeOf) -> None:
    for path, report in REPORTS.items():
        app.router.add_api_route(
            f"/v1/organization/{path}",
            _page_of(store, scope_of, report),
            responses=ERRORS,
            tags=["OpenAI"],
            summary=report.name,
            route_class_override=OpenAIRoute,
        )


def _page_of(store: Store, scope_of: ScopeOf, report: Report) -> Callable[..., Coroutine[Any, Any, Response]]:
    Whose = Annotated[Scope, Depends(scope_of)]  # noqa: N806 - a type

    # What it takes is read from the query itself: OpenAI's clients write a list as `name[]`.
    async def page(request: Request, scope: Whose) -> Response:
        """As OpenAI documents it; `start_time` is required."""
        question = parse_question(report, request.query_params.multi_items(), scope, utc_now())
        return Response(await report_page(store, scope, report, question), media_type="application/json")

    return page
