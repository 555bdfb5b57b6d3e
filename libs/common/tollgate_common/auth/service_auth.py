"""Who may call `/internal/v1/...`: the deployment's own processes.

A process shows a service's token, which accounts signs, or the secret that all of them share. The secret is what gets a
process its first token; it is accepted here too, because leases and reconciliation must work while accounts is
away.
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
# How soon a process asks again for a token that it did not get.
ASK_AGAIN_S = 30.0


def internal_callers(
    token: str | None, code: str, consequence: str, tokens: Verifier | None = None
) -> Callable[..., Coroutine[None, None, None]]:
    """The dependency that lets in who shows a service's token or the shared secret as a bearer.

    Args:
        token: `TOLLGATE_INTERNAL_TOKEN`; without one nobody is let in.
        code: of the 503 then.
        consequence: what does not work then, as the end of a sentence.
        tokens: verifies services' tokens; without it only the secret is taken.

    Raises:
        Problem: 503 if there is no secret, 401 if the caller shows neither, 403 if the token is no service's.
    """

    async def check(authorization: Annotated[str, Header()] = "") -> None:
        if token is None:
            raise Problem(503, code, f"TOLLGATE_INTERNAL_TOKEN is not set, so {consequence}")
        if hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            return
        shown = authorization.removeprefix("Bearer ")
        if tokens is not None and looks_like_token(shown):
            if (await tokens.verify(shown)).role is not Role.SERVICE:
                raise Problem(403, "services_only", "this is for services; the token is a person's")
            return
        raise Problem(
            401,
            "invalid_token",
            "expected the header Authorization: Bearer and a service's token or TOLLGATE_INTERNAL_TOKEN",
            headers={"WWW-Authenticate": "Bearer"},
        )

    return check


class _Issued(msgspec.Struct):
    token: str
    expires_in: int


class ServiceCredential:
    """What a service shows to others: its own token, kept fresh; the shared secret while accounts gives it none."""

    def __init__(
        self, service: str, secret: str, accounts_url: str | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Build it; the first call asks for a token.

        Args:
            service: the name that the token carries, `service:<name>`.
            secret: `TOLLGATE_INTERNAL_TOKEN`.
            accounts_url: where tokens come from; without it the secret is shown.
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
        """The `Authorization` header of the next call."""
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
            log.warning("no token for service:%s from %s: %r", self._service, url, error)
            return
        self._token = issued.token
        # Half of its life is left when it is renewed: accounts may be away for that long.
        self._ends_at = asked_at + issued.expires_in * 0.9
        self._ask_at = asked_at + issued.expires_in / 2
