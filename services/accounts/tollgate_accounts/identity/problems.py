"""What the entrance refuses."""

from http import HTTPStatus

from tollgate_common.errors import Problem


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
