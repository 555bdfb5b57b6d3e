"""Why a caller is not let in, the same for every route."""

from http import HTTPStatus

from tollgate_accounts.problems import invalid_input
from tollgate_common.errors import Problem

_BEARER = {"WWW-Authenticate": "Bearer"}


def session_missing() -> Problem:
    detail = "send the session's token: `Authorization: Bearer tgs_...`; POST /v1/sessions gives one"
    return Problem(HTTPStatus.UNAUTHORIZED, "session_required", detail, headers=_BEARER)


def session_invalid() -> Problem:
    detail = "the session has ended or never was, or the token is no session's; sign in with POST /v1/sessions"
    return Problem(HTTPStatus.UNAUTHORIZED, "invalid_session", detail, headers=_BEARER)


def role_insufficient(*roles: str) -> Problem:
    detail = f"your role in this organization does not allow this; it takes one of: {', '.join(roles)}"
    return Problem(HTTPStatus.FORBIDDEN, "insufficient_role", detail)


def organization_not_found() -> Problem:
    """The same for one that does not exist and for one that the caller is no member of: it must not tell which."""
    detail = "you are a member of no such organization; GET /v1/organizations lists yours"
    return Problem(HTTPStatus.NOT_FOUND, "organization_not_found", detail, field="Tollgate-Organization")


def operators_only() -> Problem:
    detail = "this is for those who run the deployment; an operator can make another person one"
    return Problem(HTTPStatus.FORBIDDEN, "operators_only", detail)


def service_unknown() -> Problem:
    detail = "expected the header Authorization: Bearer and TOLLGATE_INTERNAL_TOKEN, which must be set here too"
    return Problem(HTTPStatus.UNAUTHORIZED, "unknown_service", detail, headers=_BEARER)


def too_many_attempts(retry_after_s: int) -> Problem:
    detail = f"too many attempts; try again in {retry_after_s} seconds"
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_attempts", detail, headers=headers)


def origin_refused() -> Problem:
    detail = "a session cookie changes something only from a page of the console; send the token in a header instead"
    return Problem(HTTPStatus.FORBIDDEN, "origin_not_allowed", detail)


# What a route can answer that needs a session, and one that needs a role in an organization too.
OF_PERSONS = (session_missing(), session_invalid(), origin_refused())
OF_MEMBERS = (
    *OF_PERSONS,
    role_insufficient("owner"),
    organization_not_found(),
    invalid_input("Tollgate-Organization"),
)
OF_OPERATORS = (*OF_PERSONS, operators_only())
OF_SERVICES = (service_unknown(),)
