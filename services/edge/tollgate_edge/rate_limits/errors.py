"""Refusals of the rate_limiter, as OpenAI words them."""

import math
from http import HTTPStatus

from tollgate_edge.http.errors import ApiError
from tollgate_edge.rate_limits.client_address import Address

RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
# A request in flight ends at a time that nobody knows.
_IN_FLIGHT_RETRY_AFTER_S = 1


def account_suspended() -> ApiError:
    message = "The account that this API key belongs to is suspended. Ask whoever runs this gateway."
    return ApiError(HTTPStatus.FORBIDDEN, message, code="account_suspended")


def address_not_allowed(address: Address | None) -> ApiError:
    shown = "an address that cannot be known" if address is None else str(address)
    message = f"This API key may not be used from {shown}: its allowed addresses are restricted."
    return ApiError(HTTPStatus.FORBIDDEN, message, code="ip_not_allowed")


def rate_limited(unit: str, limit: int, wait_s: float) -> ApiError:
    """429.

    Args:
        unit: `requests` or `tokens`; it is the error's type, as with OpenAI.
        limit: of them a minute.
        wait_s: until the request would fit.
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
        f"Too many requests of this API key are in flight: {limit} may be at once. Try again when one has ended.",
        error_type="requests",
        code=RATE_LIMIT_EXCEEDED,
        headers=((b"retry-after", b"%d" % _IN_FLIGHT_RETRY_AFTER_S),),
    )
