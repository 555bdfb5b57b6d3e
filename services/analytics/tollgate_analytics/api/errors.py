"""Error responses: RFC 9457 problem details, or OpenAI's error body on the paths of OpenAI's API."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tollgate_analytics.query.parameters import invalid_parameter
from tollgate_common.errors import Problem
from tollgate_common.http import first_invalid, problem_response

OPENAI_PREFIX = "/v1/organization/"


def install_error_handlers(app: FastAPI) -> None:
    for error in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(error, render_error)


async def render_error(request: Request, error: Exception) -> JSONResponse:
    problem = _problem_of(error)
    if request.url.path.startswith(OPENAI_PREFIX):
        return openai_error(problem)
    return problem_response(problem, request.url.path)


def openai_error(problem: Problem) -> JSONResponse:
    """Return OpenAI's error body (https://platform.openai.com/docs/guides/error-codes), with the problem's status."""
    kind = "server_error" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    error = {"message": problem.detail, "type": kind, "param": problem.field, "code": problem.code}
    return JSONResponse({"error": error}, problem.status, problem.headers)


def _problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case RequestValidationError():
            # The public API reads no bodies. The reconciler's routes do, and return the same 400 for an invalid field.
            return invalid_parameter(*first_invalid(error))
        case HTTPException():
            code = HTTPStatus(error.status_code).name.lower()
            return Problem(error.status_code, code, str(error.detail), headers=error.headers)
        case _:
            raise error
