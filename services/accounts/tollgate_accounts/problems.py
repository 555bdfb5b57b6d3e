"""Every error that a client of this service can get, one function each, and how its OpenAPI document tells of them.

The name of the function is the error's `code`. `invalid_input` and `bad_request` (a body that is no UTF-8) are found by
the framework and stand here for the document alone.
"""

import json
from collections import defaultdict
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from tollgate_common.errors import Problem
from tollgate_common.http import PROBLEM_TYPE, problem_response

_BEARER = {"WWW-Authenticate": "Bearer"}


def email_taken() -> Problem:
    detail = "an account with this e-mail exists; sign in, or use another e-mail"
    return Problem(HTTPStatus.CONFLICT, "email_taken", detail, field="email")


def credentials_wrong() -> Problem:
    """The same for an unknown e-mail and for a wrong password: it must not tell which."""
    return Problem(HTTPStatus.UNAUTHORIZED, "credentials_wrong", "no account has this e-mail and password")


def too_many_attempts(retry_after_s: int) -> Problem:
    detail = f"too many attempts to sign in; try again in {retry_after_s} seconds"
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_attempts", detail, headers=headers)


def session_missing() -> Problem:
    detail = "send the session's token: `Authorization: Bearer tgs_...`; POST /v1/sessions gives one"
    return Problem(HTTPStatus.UNAUTHORIZED, "session_missing", detail, headers=_BEARER)


def session_invalid() -> Problem:
    detail = "the session has ended or never was, or the token is no session's; sign in with POST /v1/sessions"
    return Problem(HTTPStatus.UNAUTHORIZED, "session_invalid", detail, headers=_BEARER)


def key_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "key_not_found", "this account has no such API key", field="key_id")


def promo_code_unknown(field: str) -> Problem:
    detail = "there is no such promo code; look for a typing error"
    return Problem(HTTPStatus.NOT_FOUND, "promo_code_unknown", detail, field=field)


def promo_code_not_started(field: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "promo_code_not_started", "this promo code is not valid yet", field=field)


def promo_code_over(field: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "promo_code_over", "this promo code is no longer valid", field=field)


def promo_code_used_up(field: str) -> Problem:
    detail = "this promo code has been redeemed as often as it may be"
    return Problem(HTTPStatus.CONFLICT, "promo_code_used_up", detail, field=field)


def promo_code_already_redeemed(field: str) -> Problem:
    detail = "this account has redeemed this promo code before; it counts once"
    return Problem(HTTPStatus.CONFLICT, "promo_code_already_redeemed", detail, field=field)


def store_unavailable() -> Problem:
    detail = "the accounts database does not answer; try again"
    headers = {"Retry-After": "1"}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "store_unavailable", detail, headers=headers)


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
        "content": {PROBLEM_TYPE: {"schema": ProblemDetails.model_json_schema(), "examples": examples}},
    }
