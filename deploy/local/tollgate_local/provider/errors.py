"""The provider's errors.

ProviderError
├── ApiError         a response with OpenAI's error body
└── ClientGoneError  the client closed the connection before the response was complete
"""

from http import HTTPStatus
from typing import Final

import msgspec

INVALID_REQUEST: Final = "invalid_request_error"


class ProviderError(Exception):
    pass


class ClientGoneError(ProviderError):
    pass


class ApiError(ProviderError):
    """An error in OpenAI's format. `status` is the HTTP status; the other fields are those of the body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.param = param
        self.code = code
        self.headers = headers

    def body(self) -> bytes:
        error = {"message": str(self), "type": self.error_type, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


def invalid_value(param: str, message: str, code: str = "invalid_value") -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, message, param=param, code=code)


def unknown_model(model: str) -> ApiError:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(HTTPStatus.NOT_FOUND, message, code="model_not_found")


_SIMULATED: Final = {
    400: ("Invalid request.", INVALID_REQUEST, None),
    401: ("Incorrect API key provided.", INVALID_REQUEST, "invalid_api_key"),
    403: ("Country, region, or territory not supported.", "request_forbidden", "unsupported_country_region_territory"),
    404: ("The requested resource was not found.", INVALID_REQUEST, "not_found"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    503: ("The engine is currently overloaded, please try again later.", "server_error", "overloaded"),
}


def simulated_error(status: int) -> ApiError:
    """Return the error that a caller requested. A status without its own message gets that of a server error."""
    common = ("The server had an error while processing your request.", "server_error", None)
    message, error_type, code = _SIMULATED.get(status, common)
    headers = ((b"retry-after", b"1"),) if status == HTTPStatus.TOO_MANY_REQUESTS else ()
    return ApiError(status, message, error_type=error_type, code=code, headers=headers)
