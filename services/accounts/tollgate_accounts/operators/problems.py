"""Errors of the operators' API."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def account_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "account_not_found", "there is no account with this id", field="account_id")


def person_not_found() -> Problem:
    detail = "no person has this verified e-mail address; they must sign up and verify it first"
    return Problem(HTTPStatus.NOT_FOUND, "person_not_found", detail, field="email")


def operator_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "operator_not_found", "this person is not an operator", field="person_id")


def ambiguous_search() -> Problem:
    detail = "give exactly one of account_id, email, key_id and key_prefix"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "ambiguous_search", detail, field="account_id")


def amount_is_zero() -> Problem:
    detail = "amount_nano is 0; an adjustment must be positive or negative"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "amount_is_zero", detail, field="amount_nano")


def balance_unavailable() -> Problem:
    detail = "the balance service is unavailable, or TOLLGATE_BALANCE_URL is not set; retry later"
    headers = {"Retry-After": "5"}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "balance_unavailable", detail, headers=headers)
