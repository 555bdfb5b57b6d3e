"""The console's own errors. Errors of the services are passed on unchanged."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def session_required() -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, "session_required", "you are not signed in, or your session has ended")


def origin_not_allowed() -> Problem:
    detail = "the request does not come from a page of this console; reload the page and try again"
    return Problem(HTTPStatus.FORBIDDEN, "origin_not_allowed", detail)


def organization_not_found() -> Problem:
    """The error of accounts for an organization that the person is not a member of."""
    detail = "you are not a member of this organization; switch to another one in Account"
    return Problem(HTTPStatus.NOT_FOUND, "organization_not_found", detail)


def request_not_forwarded() -> Problem:
    detail = "the console does not forward this request; call the service's own API instead"
    return Problem(HTTPStatus.NOT_FOUND, "not_found", detail)


def body_too_large(max_bytes: int) -> Problem:
    detail = f"the body has more than {max_bytes} bytes, the maximum for a request of the console"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail)


def invalid_credentials() -> Problem:
    detail = "expected a JSON object with the strings `email` and `password`"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", detail, field="email")


def service_unavailable(service: str) -> Problem:
    detail = f"the {service} service is unavailable; try again in a moment"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", detail, headers={"Retry-After": "1"})
