"""A credential is renewed before it expires, once for concurrent requests, and not by each request if that fails."""

import asyncio

import pytest

from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.providers.renewal import Issued, RenewedCredential


class Issuer:
    def __init__(self) -> None:
        self.count = 0
        self.now_s = 0.0
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def issue(self) -> Issued[str]:
        self.count += 1
        number = self.count
        await self.gate.wait()
        if self.fails:
            raise PermissionError("rejected")
        return Issued(f"token-{number}", 1000)

    def credential(self) -> RenewedCredential[str]:
        return RenewedCredential("a token", self.issue, margin_s=300, clock=lambda: self.now_s)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_concurrent_requests_wait_for_one_renewal() -> None:
    issuer = Issuer()
    credential = issuer.credential()
    assert set(await asyncio.gather(*(credential.get() for _ in range(10)))) == {"token-1"}
    assert issuer.count == 1


async def test_renewal_before_expiry_delays_no_request() -> None:
    issuer = Issuer()
    credential = issuer.credential()
    await credential.get()
    issuer.now_s = 699
    assert await credential.get() == "token-1"
    await settle()
    assert issuer.count == 1
    issuer.gate.clear()
    issuer.now_s = 701
    assert await credential.get() == "token-1"
    assert await credential.get() == "token-1"
    await settle()
    assert issuer.count == 2
    issuer.gate.set()
    await settle()
    assert await credential.get() == "token-2"


async def test_failed_renewal_keeps_the_valid_token_and_waits_before_another_attempt() -> None:
    issuer = Issuer()
    credential = issuer.credential()
    await credential.get()
    issuer.fails = True
    issuer.now_s = 701
    for _ in range(5):
        assert await credential.get() == "token-1"
        await settle()
    assert issuer.count == 2
    issuer.now_s = 712
    assert await credential.get() == "token-1"
    await settle()
    assert issuer.count == 3
    issuer.now_s = 1001
    with pytest.raises(ProviderFailed, match="could not obtain credentials") as caught:
        await credential.get()
    assert caught.value.sent is False
    issuer.fails = False
    assert await credential.get() == "token-5"


async def test_canceled_request_does_not_cancel_the_renewal_of_others() -> None:
    issuer = Issuer()
    issuer.gate.clear()
    credential = issuer.credential()
    first, second = (asyncio.create_task(credential.get()) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    issuer.gate.set()
    assert await second == "token-1"
    assert issuer.count == 1
