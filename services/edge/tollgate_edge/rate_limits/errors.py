"""Errors of the rate limiter, in OpenAI's format."""

import math
from http import HTTPStatus

from tollgate_edge.http.errors import ApiError
from tollgate_edge.rate_limits.client_address import Address

RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
# The end of the requests in flight is unknown.
_IN_FLIGHT_RETRY_AFTER_S = 1


def account_suspended() -> ApiError:
    message = "The account of this API key is suspended. Contact the operator of this gateway."
    return ApiError(HTTPStatus.FORBIDDEN, message, code="account_suspended")


def address_not_allowed(address: Address | None) -> ApiError:
    shown = "an unknown address" if address is None else str(address)
    message = f"This API key may not be used from {shown}: its allowed addresses are restricted."
    return ApiError(HTTPStatus.FORBIDDEN, message, code="ip_not_allowed")


def rate_limited(unit: str, limit: int, wait_s: float) -> ApiError:
    """Create a 429 error.

    Args:
        unit: `requests` or `tokens`. It is also the error's type, as in OpenAI's API.
        limit: units per minute.
        wait_s: seconds until the request would be within the limit.
    """
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"Rate limit reached for this API key: {limit} {unit} per minute. Please try again in {wait_s:.3g}s.",
        error_type=unit,
        code=RATE_LIMIT_EXCEEDED,
        headers=((b"retry-after", b"%d" % max(1, math.ceil(wait_s))),),
    )


def too_many_in_flight(limit: int) -> ApiError:
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"Too many requests of this API key are in flight; the limit is {limit}. Try again when one has finished.",
        error_type="requests",
        code=RATE_LIMIT_EXCEEDED,
        headers=((b"retry-after", b"%d" % _IN_FLIGHT_RETRY_AFTER_S),),
    )
