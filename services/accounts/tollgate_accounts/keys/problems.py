"""What a call about API keys is refused for."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def key_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "key_not_found", "this account has no such API key", field="key_id")
