"""Permissions for routes that are not for members: operators and the deployment's own services."""

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from pydantic import SecretStr

from tollgate_accounts.access import problems, store
from tollgate_accounts.access.dependencies import InternalTokenDep, OperatorTokenDep, PoolDep
from tollgate_accounts.access.permissions import SESSION_PREFIX, Bearer, Permission, address_of, find_session
from tollgate_accounts.audit.store import Actor

# The audit log cannot name the person behind the shared operator token.
UNNAMED_OPERATOR_ID = "operator-token"


@dataclass(frozen=True)
class Operator:
    """A caller who runs the deployment. `person_id` is None for a caller with the shared operator token."""

    person_id: str | None
    address: str

    @property
    def actor(self) -> Actor:
        """The actor for the audit log."""
        return Actor("operator", self.person_id or UNNAMED_OPERATOR_ID, self.address)


class OperatorsOnly(Permission):
    """Allow operators and callers with the shared operator token. No role in an organization grants this."""

    async def __call__(self, request: Request, pool: PoolDep, secret: OperatorTokenDep, bearer: Bearer) -> Operator:
        """Return the caller.

        Raises:
            Problem: the caller has neither a session nor the operator token, or the person is not an operator.
        """
        address = address_of(request)
        if bearer is not None and not bearer.credentials.startswith(SESSION_PREFIX):
            if not _matches(secret, bearer.credentials):
                raise problems.invalid_session()
            return Operator(None, address)
        session = await find_session(pool, bearer, None, address)
        async with pool.connection() as connection:
            if not await store.is_operator(connection, session.person_id):
                raise problems.operators_only()
        return Operator(session.person_id, address)


class ServicesOnly(Permission):
    """Allow the deployment's own services, which share one secret."""

    async def __call__(self, secret: InternalTokenDep, bearer: Bearer) -> None:
        """Check the shared secret.

        Raises:
            Problem: 401 if the secret is missing or wrong.
        """
        if bearer is None or not _matches(secret, bearer.credentials):
            raise problems.unknown_service()


OperatorCaller = Annotated[Operator, Depends(OperatorsOnly())]


def _matches(secret: SecretStr | None, given: str) -> bool:
    # compare_digest rejects text with characters outside ASCII, so compare bytes.
    return secret is not None and hmac.compare_digest(given.encode(), secret.get_secret_value().encode())
