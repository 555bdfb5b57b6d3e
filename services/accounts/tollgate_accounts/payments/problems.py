"""Why a payment is not made."""

from http import HTTPStatus

from tollgate_common.errors import Problem
from tollgate_common.money import decimal_from_nano


def payments_not_configured() -> Problem:
    detail = "this deployment takes no payments by card: TOLLGATE_STRIPE_API_KEY is not set"
    return Problem(HTTPStatus.FORBIDDEN, "payments_not_configured", detail)


def currency_not_accepted(currency: str, accepted: str) -> Problem:
    detail = f"this deployment keeps its accounts in {accepted}; {currency} cannot become credit"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unsupported_currency", detail, field="currency")


def amount_out_of_range(least_nano: int, most_nano: int) -> Problem:
    detail = f"a payment is {decimal_from_nano(least_nano)} to {decimal_from_nano(most_nano)}"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "amount_out_of_range", detail, field="amount_nano")


def amount_not_payable(why: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "amount_not_allowed", why, field="amount_nano")


def stripe_unavailable() -> Problem:
    detail = "Stripe did not begin the payment; nothing was charged, try again"
    headers = {"Retry-After": "5"}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "stripe_unavailable", detail, headers=headers)


def signature_wrong() -> Problem:
    detail = "this is not signed with this deployment's webhook secret, or was signed too long ago"
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_signature", detail, field="Stripe-Signature")


def event_unreadable(why: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_event", f"this event is not understood: {why}")


def reference_taken() -> Problem:
    detail = "a credit of this reference was given with another account or amount"
    return Problem(HTTPStatus.CONFLICT, "reference_exists", detail, field="reference")


def event_too_large() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "event_too_large", "no event of Stripe's is this large")
