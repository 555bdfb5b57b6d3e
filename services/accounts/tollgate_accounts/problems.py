"""The errors of every route, and how the OpenAPI document tells of them; each topic has more of its own.

The name of an error's function is its `code`. `invalid_input` and `bad_request` (a body that is no UTF-8) are found by
the framework and stand here for the document alone.
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
    """RFC 9457; `code` is stable, `field` names the input that was wrong."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    field: str | None = None


# Asked for by every answer of every route, and dear to make.
SCHEMA = ProblemDetails.model_json_schema()


def documented(path: str, *problems: Problem) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with these problems, each an example under its status."""
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
