"""Who calls as an operator: they share one secret."""

import secrets
from collections.abc import Callable, Coroutine
from http import HTTPStatus

from fastapi import Request
from pydantic import SecretStr

from tollgate_common.callers import bearer, unauthorized
from tollgate_common.errors import Problem


def operators(token: SecretStr | None) -> Callable[[Request], Coroutine[None, None, None]]:
    """The dependency that lets operators in.

    Raises:
        Problem: 403 if this deployment has no operators' secret, 401 if the caller does not know it.
    """

    async def operator(request: Request) -> None:
        if token is None:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "operator_api_disabled",
                "no operator can be let in: this service was started without TOLLGATE_OPERATOR_TOKEN",
            )
        given = bearer(request) or ""
        # As bytes: compare_digest refuses text with other characters than ASCII.
        if not secrets.compare_digest(given.encode(), token.get_secret_value().encode()):
            raise unauthorized("invalid_operator_token", "send the operators' secret as 'Authorization: Bearer ...'")

    return operator
