"""Authentication between services, for `/internal/v1/...`.

A service sends a token that accounts signs, or the secret that all services share. It gets its first token with the
secret. The secret is accepted everywhere, because leases and reconciliation must work while accounts is unavailable.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Annotated

import httpx
import msgspec
from fastapi import Header

from tollgate_common.auth.access_tokens import Role, Verifier, looks_like_token
from tollgate_common.errors import Problem

log = logging.getLogger(__name__)

TOKENS_PATH = "/internal/v1/tokens"
ANSWER_WITHIN_S = 2.0
# Delay after a failed request for a token.
ASK_AGAIN_S = 30.0


def internal_callers(
    token: str | None, code: str, consequence: str, tokens: Verifier | None = None
) -> Callable[..., Coroutine[None, None, None]]:
    """Return the dependency that accepts a service's token or the shared secret as a bearer token.

    Args:
        token: `TOLLGATE_INTERNAL_TOKEN`. Without it, every request is rejected.
        code: error code of that 503.
        consequence: what does not work then, as the end of a sentence.
        tokens: verifies services' tokens. Without it, only the secret is accepted.

    Raises:
        Problem: 503 without a secret, 401 without a valid token or secret, 403 if the token is not a service's.
    """

    async def check(authorization: Annotated[str, Header()] = "") -> None:
        if token is None:
            raise Problem(503, code, f"TOLLGATE_INTERNAL_TOKEN is not set, so {consequence}")
        if hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            return
        shown = authorization.removeprefix("Bearer ")
        if tokens is not None and looks_like_token(shown):
            if (await tokens.verify(shown)).role is not Role.SERVICE:
                raise Problem(403, "services_only", "this route is for services; the token is a person's")
            return
        raise Problem(
            401,
            "invalid_token",
            "send a service's token or TOLLGATE_INTERNAL_TOKEN as 'Authorization: Bearer ...'",
            headers={"WWW-Authenticate": "Bearer"},
        )

    return check


class _Issued(msgspec.Struct):
    token: str
    expires_in: int


class ServiceCredential:
    """The credential that a service sends: its own token, or the shared secret while it has no token."""

    def __init__(
        self, service: str, secret: str, accounts_url: str | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Build the credential. The first call requests a token.

        Args:
            service: the name in the token's subject, `service:<name>`.
            secret: `TOLLGATE_INTERNAL_TOKEN`.
            accounts_url: the service that issues tokens. Without it, the secret is sent.
            transport: replaces the network.
        """
        self._service = service
        self._secret = secret
        self._url = None if accounts_url is None else accounts_url.rstrip("/") + TOKENS_PATH
        self._http = httpx.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False, transport=transport)
        self._token: str | None = None
        self._ends_at = float("-inf")
        self._ask_at = float("-inf")
        self._asking = asyncio.Lock()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def headers(self) -> dict[str, str]:
        """Return the `Authorization` header of the next call."""
        if self._url is not None and time.monotonic() >= self._ask_at:
            async with self._asking:
                if time.monotonic() >= self._ask_at:
                    await self._renew(self._url)
        is_good = self._token is not None and time.monotonic() < self._ends_at
        return {"Authorization": f"Bearer {self._token if is_good else self._secret}"}

    async def _renew(self, url: str) -> None:
        asked_at = time.monotonic()
        self._ask_at = asked_at + ASK_AGAIN_S
        try:
            answer = await self._http.post(
                url, json={"service": self._service}, headers={"Authorization": f"Bearer {self._secret}"}
            )
            answer.raise_for_status()
            issued = msgspec.json.decode(answer.content, type=_Issued)
        except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning(
                "requesting a token for service:%s from %s failed; the shared secret is used: %r",
                self._service,
                url,
                error,
            )
            return
        self._token = issued.token
        # Renewed at half of its lifetime, so accounts may be unavailable for the other half.
        self._ends_at = asked_at + issued.expires_in * 0.9
        self._ask_at = asked_at + issued.expires_in / 2
