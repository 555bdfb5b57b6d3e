"""Why no token is given."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def tokens_not_configured() -> Problem:
    detail = "this deployment gives no access tokens: TOLLGATE_SIGNING_SECRET is not set"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "tokens_not_configured", detail)
