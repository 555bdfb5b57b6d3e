"""Client of the balance service. No service reads another service's tables."""

import logging
from collections.abc import Awaitable, Callable

import httpx
from pydantic import BaseModel, ValidationError

from tollgate_accounts.operators import problems

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0


class Balance(BaseModel):
    account_id: str
    currency: str
    posted_nano: int
    held_nano: int
    available_nano: int
    posted: str
    held: str
    available: str


class BalanceClient:
    def __init__(
        self,
        balance_url: str,
        authorization: Callable[[], Awaitable[str]],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Build the client. It connects on first use.

        Args:
            balance_url: the base URL of the balance service.
            authorization: returns the bearer token of this service.
            transport: replaces the network in tests.
        """
        self._http = httpx.AsyncClient(base_url=balance_url, timeout=TIMEOUT_S, trust_env=False, transport=transport)
        self._authorization = authorization

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, account_id: str) -> Balance:
        """Return the account's balance, which is zero for an account without credit.

        Raises:
            Problem: the balance service is unavailable or its response is invalid.
        """
        headers = {"Authorization": f"Bearer {await self._authorization()}"}
        try:
            response = await self._http.get(f"/internal/v1/accounts/{account_id}/balance", headers=headers)
            response.raise_for_status()
            return Balance.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            log.warning("cannot read the balance of %s: %r", account_id, error)
            raise problems.balance_unavailable() from error
