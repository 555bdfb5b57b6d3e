"""The errors of every route and their OpenAPI documentation. Each topic has more of its own.

An error's function is named for its `code`. The framework raises `invalid_input` and `bad_request` (a body that is not
UTF-8); here they only document the routes.
"""

import json
from collections import defaultdict
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from tollgate_common.errors import Problem
from tollgate_common.http import PROBLEM_TYPE, problem_response, store_unavailable


def invalid_input(field: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", f"{field}: Field required", field=field)


def bad_request() -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "bad_request", "There was an error parsing the body")


class ProblemDetails(BaseModel):
    """RFC 9457 problem details. `code` is stable; `field` names the invalid input."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    field: str | None = None


# Every response of every route refers to it, and generating it is slow.
SCHEMA = ProblemDetails.model_json_schema()


def documented(path: str, *problems: Problem) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may return these problems: one example for each, grouped by status."""
    by_status: dict[int, list[Problem]] = defaultdict(list)
    for problem in (*problems, store_unavailable()):
        by_status[problem.status].append(problem)
    return {status: _response(path, same_status) for status, same_status in by_status.items()}


def _response(path: str, problems: list[Problem]) -> dict[str, Any]:
    examples = {
        problem.code: {"value": json.loads(bytes(problem_response(problem, path).body))} for problem in problems
    }
    headers = {name for problem in problems for name in problem.headers or {}}
    return {
        "description": ", ".join(f"`{problem.code}`" for problem in problems),
        "headers": {name: {"schema": {"type": "string"}} for name in sorted(headers)},
        "content": {PROBLEM_TYPE: {"schema": SCHEMA, "examples": examples}},
    }
