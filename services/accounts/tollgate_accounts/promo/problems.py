"""What a promo code is refused for."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def promo_code_unknown(field: str) -> Problem:
    detail = "there is no such promo code; look for a typing error"
    return Problem(HTTPStatus.NOT_FOUND, "promo_code_not_found", detail, field=field)


def promo_code_not_started(field: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "promo_code_not_active", "this promo code is not valid yet", field=field)


def promo_code_over(field: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "promo_code_expired", "this promo code is no longer valid", field=field)


def promo_code_used_up(field: str) -> Problem:
    detail = "this promo code has been redeemed as often as it may be"
    return Problem(HTTPStatus.CONFLICT, "promo_code_exhausted", detail, field=field)


def promo_code_already_redeemed(field: str) -> Problem:
    detail = "you or this account have redeemed this promo code before; it counts once for each"
    return Problem(HTTPStatus.CONFLICT, "promo_code_already_redeemed", detail, field=field)


def promo_code_for_new_accounts(field: str) -> Problem:
    detail = (
        "this promo code is for new customers; this account has had credit, or you have redeemed a code for another"
    )
    return Problem(HTTPStatus.CONFLICT, "promo_code_new_accounts_only", detail, field=field)


def promo_campaign_limit_reached(field: str) -> Problem:
    detail = "you or this account have redeemed as many codes of this campaign as one person or account may"
    return Problem(HTTPStatus.CONFLICT, "promo_campaign_limit_reached", detail, field=field)


def campaign_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "campaign_not_found", "there is no such campaign", field="campaign_id")


def campaign_name_taken() -> Problem:
    detail = "there is a campaign of this name; names are never used again"
    return Problem(HTTPStatus.CONFLICT, "campaign_exists", detail, field="name")


def campaign_stopped() -> Problem:
    detail = "this campaign was stopped; it gets no more codes"
    return Problem(HTTPStatus.CONFLICT, "campaign_stopped", detail, field="campaign_id")


def promo_code_taken() -> Problem:
    detail = "another campaign has this code; choose another"
    return Problem(HTTPStatus.CONFLICT, "promo_code_exists", detail, field="code")


def of_redemption(field: str) -> tuple[Problem, ...]:
    return (
        promo_code_unknown(field),
        promo_code_not_started(field),
        promo_code_over(field),
        promo_code_used_up(field),
        promo_code_already_redeemed(field),
        promo_code_for_new_accounts(field),
        promo_campaign_limit_reached(field),
    )
