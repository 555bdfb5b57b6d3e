"""Sign-ups while processes die: each gets its credit once, and a key that is revoked stays revoked."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from e2e.running import Tollgate
from tollgate_local.demo import expect_created
from waiting import until

EVERY_S = 2.0
CREDIT_NANO = 3 * 10**9
WITHIN_S = 300.0


@dataclass(frozen=True)
class SignedUp:
    key: str
    revoked_key: str


@dataclass
class SignupLoad:
    tollgate: Tollgate
    promo_code: str
    known: list[SignedUp] = field(default_factory=list)
    is_over: bool = False

    async def run(self) -> None:
        while not self.is_over:
            self.known.append(await self._sign_up())
            await asyncio.sleep(EVERY_S)

    async def _sign_up(self) -> SignedUp:
        email, password = f"{uuid.uuid4().hex}@example.com", uuid.uuid4().hex
        # Whether a first try that got no answer had an effect is not known; the second one's conflict tells.
        signed_up = await self._insist(
            "POST", "/v1/accounts", {"email": email, "password": password, "promo_code": self.promo_code}
        )
        assert signed_up.status_code in (HTTPStatus.CREATED, HTTPStatus.CONFLICT), signed_up.text
        signed_in = await self._insist("POST", "/v1/sessions", {"email": email, "password": password})
        session = {"Authorization": f"Bearer {expect_created(signed_in)['token']}"}
        kept, revoked = [
            expect_created(await self._insist("POST", "/v1/keys", {"name": name}, session))
            for name in ("kept", "revoked")
        ]
        answer = await self._insist("DELETE", f"/v1/keys/{revoked['id']}", None, session)
        assert answer.status_code in (HTTPStatus.OK, HTTPStatus.NO_CONTENT), answer.text
        return SignedUp(kept["key"], revoked["key"])

    async def _insist(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self._ask(method, f"{self.tollgate.system.url('accounts')}{path}", body, headers)

    async def _ask(
        self, method: str, url: str, body: dict[str, Any] | None, headers: dict[str, str] | None
    ) -> httpx.Response:
        """Repeat until somebody answers: whoever died last is still starting."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    answer = await self.tollgate.http.request(method, url, json=body, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return answer

    async def check(self, edges: Sequence[str]) -> None:
        """Once all is quiet: what each of them has."""
        assert self.known
        for newcomer in self.known:
            for edge in edges:
                await until(lambda edge=edge, newcomer=newcomer: self._lets_in(edge, newcomer.key))
                assert not await self._lets_in(edge, newcomer.revoked_key)
            await until(lambda newcomer=newcomer: self._has_credit(newcomer.key))

    async def _has_credit(self, key: str) -> bool:
        """Whether the credit has arrived; more than it never may."""
        answer = await self._ask("GET", f"{self.tollgate.system.url('balance')}/v1/balance", None, bearer(key))
        posted_nano = int(answer.json()["posted_nano"]) if answer.is_success else 0
        assert posted_nano <= CREDIT_NANO
        return posted_nano == CREDIT_NANO

    async def _lets_in(self, edge: str, key: str) -> bool:
        return (await self._ask("GET", f"{edge}/v1/models", None, bearer(key))).is_success


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
