"""Errors of promo codes and campaigns."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def promo_code_not_found(field: str) -> Problem:
    detail = "this promo code does not exist; check its spelling"
    return Problem(HTTPStatus.NOT_FOUND, "promo_code_not_found", detail, field=field)


def promo_code_not_active(field: str) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT, "promo_code_not_active", "this promo code is not valid yet; try again later", field=field
    )


def promo_code_expired(field: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "promo_code_expired", "this promo code has expired", field=field)


def promo_code_exhausted(field: str) -> Problem:
    detail = "this promo code has reached its maximum number of redemptions"
    return Problem(HTTPStatus.CONFLICT, "promo_code_exhausted", detail, field=field)


def promo_code_already_redeemed(field: str) -> Problem:
    detail = "you or this account have already redeemed this promo code, which is valid once per person and account"
    return Problem(HTTPStatus.CONFLICT, "promo_code_already_redeemed", detail, field=field)


def promo_code_new_accounts_only(field: str) -> Problem:
    detail = (
        "this promo code is for new customers only; this account has had credit, or you redeemed a code for another"
    )
    return Problem(HTTPStatus.CONFLICT, "promo_code_new_accounts_only", detail, field=field)


def promo_campaign_limit_reached(field: str) -> Problem:
    detail = "you or this account have reached this campaign's maximum number of codes per person and account"
    return Problem(HTTPStatus.CONFLICT, "promo_campaign_limit_reached", detail, field=field)


def campaign_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "campaign_not_found", "there is no campaign with this id", field="campaign_id")


def campaign_exists() -> Problem:
    detail = "a campaign with this name exists; names cannot be reused"
    return Problem(HTTPStatus.CONFLICT, "campaign_exists", detail, field="name")


def campaign_stopped() -> Problem:
    detail = "this campaign is stopped and accepts no more codes"
    return Problem(HTTPStatus.CONFLICT, "campaign_stopped", detail, field="campaign_id")


def promo_code_exists() -> Problem:
    detail = "another campaign has this code; choose a different one"
    return Problem(HTTPStatus.CONFLICT, "promo_code_exists", detail, field="code")


def redemption_problems(field: str) -> tuple[Problem, ...]:
    return (
        promo_code_not_found(field),
        promo_code_not_active(field),
        promo_code_expired(field),
        promo_code_exhausted(field),
        promo_code_already_redeemed(field),
        promo_code_new_accounts_only(field),
        promo_campaign_limit_reached(field),
    )
