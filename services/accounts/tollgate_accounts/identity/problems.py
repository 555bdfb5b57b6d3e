"""What the entrance refuses."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def credentials_wrong() -> Problem:
    """The same for an unknown e-mail, a wrong password and an unverified e-mail: it must not tell which."""
    detail = "nobody who may sign in has this e-mail and password; a new account waits for the link in its mail"
    return Problem(HTTPStatus.UNAUTHORIZED, "invalid_credentials", detail)


def password_wrong() -> Problem:
    detail = "this is not your current password"
    return Problem(HTTPStatus.FORBIDDEN, "invalid_password", detail, field="current_password")


def sign_up_password_wrong() -> Problem:
    detail = "the account was made with another password; if you do not know it, choose a new one instead"
    return Problem(HTTPStatus.FORBIDDEN, "invalid_sign_up_password", detail, field="password")


def token_invalid() -> Problem:
    detail = "this token never was, has expired, or was used before; ask for another mail"
    return Problem(HTTPStatus.NOT_FOUND, "invalid_token", detail, field="token")


def session_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "session_not_found", "you have no such session", field="session_id")
