"""Who may call a route that is no member's: operators, and the deployment's own services."""

import hmac
from dataclasses import dataclass

from fastapi import Request
from pydantic import SecretStr

from tollgate_accounts.access import problems, store
from tollgate_accounts.access.permissions import SESSION_PREFIX, Bearer, Permission, address_of, find_session
from tollgate_accounts.audit.store import Actor
from tollgate_common.postgres.connection import Pool

# The actor of what is done with the operators' secret: whoever of them it was.
SECRETS_HOLDER = "operator-token"


@dataclass(frozen=True)
class Operator:
    """A caller who runs the deployment; `person_id` is None for whoever shows the operators' secret."""

    person_id: str | None
    address: str

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor("operator", self.person_id or SECRETS_HOLDER, self.address)


class OfOperators(Permission):
    """Persons whom an operator has made one, and whoever shows the operators' secret. No member's role gives this."""

    def __init__(self, pool: Pool, secret: SecretStr | None) -> None:
        self._pool = pool
        self._secret = secret

    async def __call__(self, request: Request, bearer: Bearer) -> Operator:
        """The caller.

        Raises:
            Problem: there is neither a session nor the secret, or the person is no operator.
        """
        address = address_of(request)
        if bearer is not None and not bearer.credentials.startswith(SESSION_PREFIX):
            if not _is(self._secret, bearer.credentials):
                raise problems.session_invalid()
            return Operator(None, address)
        session = await find_session(self._pool, bearer, None, address)
        async with self._pool.connection() as connection:
            if not await store.is_operator(connection, session.person_id):
                raise problems.operators_only()
        return Operator(session.person_id, address)


class OfServices(Permission):
    """The deployment's own processes, by the secret that all of them share."""

    def __init__(self, secret: SecretStr | None) -> None:
        self._secret = secret

    async def __call__(self, bearer: Bearer) -> None:
        """Lets services in.

        Raises:
            Problem: 401 without the right secret.
        """
        if bearer is None or not _is(self._secret, bearer.credentials):
            raise problems.service_unknown()


def _is(secret: SecretStr | None, given: str) -> bool:
    # As bytes: compare_digest refuses text with other characters than ASCII.
    return secret is not None and hmac.compare_digest(given.encode(), secret.get_secret_value().encode())
