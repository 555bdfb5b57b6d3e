"""Parameters that FastAPI reads: what is wrong with them is told as all else that is wrong."""

from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from tollgate_analytics.query.parameters import check_names, wrong
from tollgate_common.http import first_invalid, problem_response


def only(*names: str) -> Any:
    """A route's dependency that refuses any parameter but these."""

    async def check(request: Request) -> None:
        check_names(request.query_params, names)

    return Depends(check)


async def render_wrong(request: Request, error: Exception) -> JSONResponse:
    """400: there are no bodies here, so that it is a parameter."""
    assert isinstance(error, RequestValidationError)
    return problem_response(wrong(*first_invalid(error)), request.url.path)
