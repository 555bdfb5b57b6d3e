"""Who calls: a customer with an API key or an access token; an operator with the operators' secret or a token.

A customer's route takes `Annotated[Caller, Depends(customers(keys, tokens))]` and binds every query by
`caller.account_id`; what is narrower than the account it binds by `caller.usage_scope` too.
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
    """A customer: either `key` is there, or `person_id` and `role` are."""

    account_id: str
    usage_scope: UsageScope
    """Whose usage the caller may read; a member of the organization reads all of it."""
    key: KeyRecord | None = None
    person_id: str | None = None
    role: Role | None = None


def customers(keys: KeyDirectory, tokens: Verifier | None = None) -> Callable[[Request], Coroutine[None, None, Caller]]:
    """The dependency that finds who calls.

    Args:
        keys: the API keys that are valid now.
        tokens: verifies access tokens; without it only API keys are taken.

    Raises:
        Problem: 401 without a valid key or token, 403 for the token of an operator or a service, 503 while the keys
            are not all known yet.
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
            detail = f"starting, still reading {waiting_for}; try again in a moment"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail, headers={"Retry-After": "1"})
        raise unauthorized("invalid_api_key", "this API key is not valid: mistyped, revoked or expired")

    return customer


async def _member(tokens: Verifier, text: str) -> Caller:
    token = await tokens.verify(text)
    if not token.role.of_member:
        detail = f"a token of role {token.role} belongs to no organization; this needs a member's token or an API key"
        raise Problem(HTTPStatus.FORBIDDEN, "members_only", detail)
    return Caller(token.account_id, UsageScope.ACCOUNT, person_id=token.subject, role=token.role)


def operators(
    secret: SecretStr | None, tokens: Verifier | None = None
) -> Callable[[Request], Coroutine[None, None, None]]:
    """The dependency that lets operators in: who knows the operators' secret, or shows a token of their role.

    Raises:
        Problem: 403 if this deployment has no way to know an operator, or the token is somebody else's; 401 if the
            caller shows neither.
    """

    async def operator(request: Request) -> None:
        given = bearer(request) or ""
        if tokens is not None and looks_like_token(given):
            if (await tokens.verify(given)).role is not Role.OPERATOR:
                raise Problem(HTTPStatus.FORBIDDEN, "operators_only", "this is for operators; the token is not one's")
            return
        if secret is None:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "operator_api_disabled",
                "no operator can be let in: this service was started without TOLLGATE_OPERATOR_TOKEN",
            )
        # As bytes: compare_digest refuses text with other characters than ASCII.
        if not secrets.compare_digest(given.encode(), secret.get_secret_value().encode()):
            raise unauthorized("invalid_operator_token", "send the operators' secret as 'Authorization: Bearer ...'")

    return operator


def bearer(request: Request) -> str | None:
    """What the `Authorization` header bears, if it is of that kind."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None


def unauthorized(code: str, detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail, headers={"WWW-Authenticate": "Bearer"})
