"""What operators are told."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def account_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "account_not_found", "there is no such account", field="account_id")


def person_not_found() -> Problem:
    detail = "nobody has signed up with this e-mail and confirmed it"
    return Problem(HTTPStatus.NOT_FOUND, "person_not_found", detail, field="email")


def operator_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "operator_not_found", "this person is no operator", field="person_id")


def search_unclear() -> Problem:
    detail = "name exactly one of account_id, email, key_id and key_prefix"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "ambiguous_search", detail, field="account_id")


def amount_is_zero() -> Problem:
    detail = "an adjustment adds or takes something; 0 does neither"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "amount_is_zero", detail, field="amount_nano")


def balance_unavailable() -> Problem:
    detail = "the balance service does not answer, or TOLLGATE_BALANCE_URL is not set; try again"
    headers = {"Retry-After": "5"}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "balance_unavailable", detail, headers=headers)
