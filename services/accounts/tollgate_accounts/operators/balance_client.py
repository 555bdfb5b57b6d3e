"""The balance of an account, as the balance service has it: no service reads another's tables."""

import logging
from collections.abc import Awaitable, Callable

import httpx
from pydantic import BaseModel, ValidationError

from tollgate_accounts.operators import problems

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 5.0


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
        """Build it; connections are made when they are needed.

        Args:
            balance_url: of the balance service.
            authorization: gives what is shown as a bearer, a service's token.
            transport: replaces the network.
        """
        self._http = httpx.AsyncClient(
            base_url=balance_url, timeout=ANSWER_WITHIN_S, trust_env=False, transport=transport
        )
        self._authorization = authorization

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, account_id: str) -> Balance:
        """What the account has; one without credit has nothing.

        Raises:
            Problem: the service does not answer, or not as it should.
        """
        headers = {"Authorization": f"Bearer {await self._authorization()}"}
        try:
            answer = await self._http.get(f"/internal/v1/accounts/{account_id}/balance", headers=headers)
            answer.raise_for_status()
            return Balance.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError) as error:
            log.warning("the balance of %s cannot be read: %r", account_id, error)
            raise problems.balance_unavailable() from error
