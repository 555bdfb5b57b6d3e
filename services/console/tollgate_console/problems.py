"""What the console itself refuses; what a service refuses is passed on as it is."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def session_missing() -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, "session_required", "you are not signed in, or your session has ended")


def origin_refused() -> Problem:
    detail = "only a page of the console itself may do this; open the console anew and try again"
    return Problem(HTTPStatus.FORBIDDEN, "origin_not_allowed", detail)


def organization_not_found() -> Problem:
    """As accounts calls it."""
    detail = "you are no member of this organization any more"
    return Problem(HTTPStatus.NOT_FOUND, "organization_not_found", detail)


def no_such_call() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "not_found", "the console passes on no such call")


def body_too_large(most_bytes: int) -> Problem:
    detail = f"a call of the console has at most {most_bytes} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail)


def invalid_credentials() -> Problem:
    detail = "expected a JSON object with `email` and `password`"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", detail, field="email")


def service_away(service: str) -> Problem:
    detail = f"the {service} service does not answer; try again in a moment"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", detail, headers={"Retry-After": "1"})
