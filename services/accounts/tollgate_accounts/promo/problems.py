"""What a promo code is refused for."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def promo_code_unknown(field: str) -> Problem:
    detail = "there is no such promo code; look for a typing error"
    return Problem(HTTPStatus.NOT_FOUND, "promo_code_unknown", detail, field=field)


def promo_code_not_started(field: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "promo_code_not_started", "this promo code is not valid yet", field=field)


def promo_code_over(field: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "promo_code_over", "this promo code is no longer valid", field=field)


def promo_code_used_up(field: str) -> Problem:
    detail = "this promo code has been redeemed as often as it may be"
    return Problem(HTTPStatus.CONFLICT, "promo_code_used_up", detail, field=field)


def promo_code_already_redeemed(field: str) -> Problem:
    detail = "this account has redeemed this promo code before; it counts once"
    return Problem(HTTPStatus.CONFLICT, "promo_code_already_redeemed", detail, field=field)


def of_redemption(field: str) -> tuple[Problem, ...]:
    return (
        promo_code_unknown(field),
        promo_code_not_started(field),
        promo_code_over(field),
        promo_code_used_up(field),
        promo_code_already_redeemed(field),
    )
