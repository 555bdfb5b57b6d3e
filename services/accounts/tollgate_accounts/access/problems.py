"""Errors of authentication and authorization, the same for every route."""

from http import HTTPStatus

from tollgate_accounts.problems import invalid_input
from tollgate_common.errors import Problem

_BEARER = {"WWW-Authenticate": "Bearer"}


def session_required() -> Problem:
    detail = "no session token; get one from POST /v1/sessions and send it as `Authorization: Bearer tgs_...`"
    return Problem(HTTPStatus.UNAUTHORIZED, "session_required", detail, headers=_BEARER)


def invalid_session() -> Problem:
    detail = "the token is not that of an active session; sign in again with POST /v1/sessions"
    return Problem(HTTPStatus.UNAUTHORIZED, "invalid_session", detail, headers=_BEARER)


def insufficient_role(*roles: str) -> Problem:
    detail = f"your role in this organization is insufficient; this requires one of: {', '.join(roles)}"
    return Problem(HTTPStatus.FORBIDDEN, "insufficient_role", detail)


def organization_not_found() -> Problem:
    """The response is the same if the organization does not exist, so that it does not reveal which exist."""
    detail = "you are not a member of this organization; GET /v1/organizations lists yours"
    return Problem(HTTPStatus.NOT_FOUND, "organization_not_found", detail, field="Tollgate-Organization")


def operators_only() -> Problem:
    detail = "only operators may do this; an operator can add you with POST /v1/operator/operators"
    return Problem(HTTPStatus.FORBIDDEN, "operators_only", detail)


def unknown_service() -> Problem:
    detail = (
        "expected `Authorization: Bearer` with the value of TOLLGATE_INTERNAL_TOKEN, which must also be set in accounts"
    )
    return Problem(HTTPStatus.UNAUTHORIZED, "unknown_service", detail, headers=_BEARER)


def too_many_attempts(retry_after_s: int) -> Problem:
    detail = f"too many attempts; retry after {retry_after_s} seconds"
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_attempts", detail, headers=headers)


def origin_not_allowed() -> Problem:
    detail = "a session cookie may make changes only from the console; send `Authorization: Bearer tgs_...` instead"
    return Problem(HTTPStatus.FORBIDDEN, "origin_not_allowed", detail)


# The errors of routes that need a session, a role in an organization, an operator or a service.
PERSON_PROBLEMS = (session_required(), invalid_session(), origin_not_allowed())
MEMBER_PROBLEMS = (
    *PERSON_PROBLEMS,
    insufficient_role("owner"),
    organization_not_found(),
    invalid_input("Tollgate-Organization"),
)
OPERATOR_PROBLEMS = (*PERSON_PROBLEMS, operators_only())
SERVICE_PROBLEMS = (unknown_service(),)
