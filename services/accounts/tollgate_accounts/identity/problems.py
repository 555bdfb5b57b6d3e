"""Errors of sign-up, sign-in, sessions and mail tokens."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def invalid_credentials() -> Problem:
    """The response is the same for an unknown address, a wrong password and an unverified address."""
    detail = "wrong e-mail address or password, or the address is not verified; open the link in the sign-up mail first"
    return Problem(HTTPStatus.UNAUTHORIZED, "invalid_credentials", detail)


def invalid_password() -> Problem:
    detail = "this is not your current password"
    return Problem(HTTPStatus.FORBIDDEN, "invalid_password", detail, field="current_password")


def invalid_sign_up_password() -> Problem:
    detail = "this is not the password of the sign-up; if you do not know it, choose a new one instead"
    return Problem(HTTPStatus.FORBIDDEN, "invalid_sign_up_password", detail, field="password")


def invalid_token() -> Problem:
    detail = "this token is invalid, expired or already used; request another mail"
    return Problem(HTTPStatus.NOT_FOUND, "invalid_token", detail, field="token")


def session_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "session_not_found", "you have no such session", field="session_id")
