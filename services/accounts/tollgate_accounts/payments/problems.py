"""Errors of payments."""

from http import HTTPStatus

from tollgate_common.errors import Problem
from tollgate_common.money import decimal_from_nano


def payments_not_configured() -> Problem:
    detail = "card payments are disabled; the operator enables them with TOLLGATE_STRIPE_API_KEY"
    return Problem(HTTPStatus.FORBIDDEN, "payments_not_configured", detail)


def unsupported_currency(currency: str, accepted: str) -> Problem:
    detail = f"currency is {currency}; this deployment accepts {accepted} only"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unsupported_currency", detail, field="currency")


def amount_out_of_range(min_nano: int, max_nano: int) -> Problem:
    detail = f"a payment must be between ${decimal_from_nano(min_nano)} and ${decimal_from_nano(max_nano)}"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "amount_out_of_range", detail, field="amount_nano")


def amount_not_allowed(why: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "amount_not_allowed", why, field="amount_nano")


def stripe_unavailable() -> Problem:
    detail = "Stripe is unavailable or rejected the payment; nothing was charged, so you can retry"
    headers = {"Retry-After": "5"}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "stripe_unavailable", detail, headers=headers)


def invalid_signature() -> Problem:
    detail = "the signature does not match TOLLGATE_STRIPE_WEBHOOK_SECRET, or is too old"
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_signature", detail, field="Stripe-Signature")


def invalid_event(why: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_event", f"the event is invalid: {why}")


def reference_exists() -> Problem:
    detail = "this reference exists with another account or amount; choose another reference"
    return Problem(HTTPStatus.CONFLICT, "reference_exists", detail, field="reference")


def event_too_large() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "event_too_large", "the event exceeds 1 MiB")
