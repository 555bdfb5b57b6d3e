"""Authentication of callers: customers by API key or access token, operators by the operators' secret or a token.

A customer's route takes `Annotated[Caller, Depends(customers(keys, tokens))]` and binds every query by
`caller.account_id`, and by `caller.usage_scope` if the scope is narrower than the account.
"""

import secrets
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import NamedTuple

from fastapi import Request
from pydantic import SecretStr

from tollgate_common.auth.access_tokens import Role, Verifier, looks_like_token
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.errors import Problem
from tollgate_common.events import KeyRecord, UsageScope


class Caller(NamedTuple):
    """A customer. Either `key` is set, or `person_id` and `role` are."""

    account_id: str
    usage_scope: UsageScope
    """The usage that the caller may read. A member of the organization may read all of it."""
    key: KeyRecord | None = None
    person_id: str | None = None
    role: Role | None = None


def customers(keys: KeyDirectory, tokens: Verifier | None = None) -> Callable[[Request], Coroutine[None, None, Caller]]:
    """Return the dependency that authenticates a customer.

    Args:
        keys: the valid API keys.
        tokens: verifies access tokens. Without it, only API keys are accepted.

    Raises:
        Problem: 401 without a valid key or token, 403 for the token of an operator or a service, 503 while the keys
            are still being read.
    """

    async def customer(request: Request) -> Caller:
        text = bearer(request)
        if text is None:
            raise unauthorized("missing_api_key", "send your API key as 'Authorization: Bearer tg_...'")
        if tokens is not None and looks_like_token(text):
            return await _member(tokens, text)
        record = keys.find(text)
        if record is not None:
            return Caller(record.account_id, record.usage_scope, key=record)
        if (waiting_for := keys.topic.waiting_for()) is not None:
            detail = f"the service is starting and still reads {waiting_for}; try again in a moment"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail, headers={"Retry-After": "1"})
        raise unauthorized("invalid_api_key", "this API key is invalid: it is mistyped, revoked or expired")

    return customer


async def _member(tokens: Verifier, text: str) -> Caller:
    token = await tokens.verify(text)
    if not token.role.of_member:
        detail = f"a token of role {token.role} belongs to no organization; send a member's token or an API key"
        raise Problem(HTTPStatus.FORBIDDEN, "members_only", detail)
    return Caller(token.account_id, UsageScope.ACCOUNT, person_id=token.subject, role=token.role)


def operators(
    secret: SecretStr | None, tokens: Verifier | None = None
) -> Callable[[Request], Coroutine[None, None, None]]:
    """Return the dependency that authenticates an operator, by the operators' secret or a token of their role.

    Raises:
        Problem: 403 if this deployment has neither, or the token has another role; 401 without a valid secret or token.
    """

    async def operator(request: Request) -> None:
        given = bearer(request) or ""
        if tokens is not None and looks_like_token(given):
            if (await tokens.verify(given)).role is not Role.OPERATOR:
                raise Problem(
                    HTTPStatus.FORBIDDEN, "operators_only", "this route is for operators; the token has another role"
                )
            return
        if secret is None:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "operator_api_disabled",
                "operators cannot be authenticated: TOLLGATE_OPERATOR_TOKEN is not set",
            )
        # As bytes, because compare_digest rejects text that is not ASCII.
        if not secrets.compare_digest(given.encode(), secret.get_secret_value().encode()):
            raise unauthorized("invalid_operator_token", "send the operators' secret as 'Authorization: Bearer ...'")

    return operator


def bearer(request: Request) -> str | None:
    """Return the bearer token of the `Authorization` header, if it has one."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None


def unauthorized(code: str, detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail, headers={"WWW-Authenticate": "Bearer"})
