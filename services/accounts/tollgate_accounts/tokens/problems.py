"""Errors of access tokens."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def tokens_not_configured() -> Problem:
    detail = "access tokens are disabled; the operator enables them with TOLLGATE_SIGNING_SECRET"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "tokens_not_configured", detail)
