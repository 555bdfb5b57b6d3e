"""A demo account with credit and an API key, so that the first call needs no sign-up."""

import asyncio
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx
import msgspec

from tollgate_local.errors import LocalError
from tollgate_local.folders import write_private
from tollgate_local.processes import run_forked
from tollgate_local.system import SERVICES, System, python

EMAIL = "demo@example.com"
PROMO_CODE = "WELCOME"
CREDIT_USD = "10"
# A new key and its credit travel through Kafka within milliseconds; a busy machine may need longer.
KNOWN_WITHIN_S = 30
ACCOUNTS = next(service for service in SERVICES if service.name == "accounts")


class Demo(msgspec.Struct, frozen=True):
    """What .run/demo.json keeps; readable to its owner alone."""

    email: str
    password: str
    # None until it was made: a start that was cut off goes on from here.
    api_key: str | None = None


async def ensure_demo(system: System, file: Path) -> str:
    """The demo account's API key; makes what is missing, once.

    Raises:
        LocalError: the account exists and `file`, which alone knows its password, is gone.
    """
    if read_demo(file).api_key is None:
        await create_promo_code(system)
    return await ensure_account(system.url, file)


async def ensure_account(url: Callable[[str], str], file: Path) -> str:
    """The same where the promo code exists already; `url` tells where a service is."""
    demo = read_demo(file)
    api_key = demo.api_key or await make_account(url, demo, file)
    await wait_for(f"{url('edge')}/v1/models", api_key, is_known)
    return api_key


async def make_account(url: Callable[[str], str], demo: Demo, file: Path) -> str:
    write_demo(file, demo)  # before the account: its password must not be lost
    async with httpx.AsyncClient(base_url=url("accounts"), timeout=30) as accounts:
        await sign_up(accounts, demo)
        api_key = await create_key(accounts, demo, file)
    write_demo(file, msgspec.structs.replace(demo, api_key=api_key))
    await wait_for(f"{url('balance')}/v1/balance", api_key, has_credit)
    return api_key


def read_demo(file: Path) -> Demo:
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Demo)
    return Demo(EMAIL, secrets.token_urlsafe(16))


def write_demo(file: Path, demo: Demo) -> None:
    write_private(file, msgspec.json.format(msgspec.json.encode(demo)).decode() + "\n")


async def create_promo_code(system: System) -> None:
    command = python(ACCOUNTS.module, "create-promo-code", PROMO_CODE, "--amount-usd", CREDIT_USD)
    await run_forked(f"the promo code {PROMO_CODE}", command, system.environment(ACCOUNTS))


async def sign_up(accounts: httpx.AsyncClient, demo: Demo) -> None:
    body = {"email": demo.email, "password": demo.password, "promo_code": PROMO_CODE}
    # The same answer if an earlier start was cut off after this point.
    expect_created(await accounts.post("/v1/accounts", json=body))


async def create_key(accounts: httpx.AsyncClient, demo: Demo, file: Path) -> str:
    answer = await accounts.post("/v1/sessions", json={"email": demo.email, "password": demo.password})
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise LocalError(
            f"{demo.email} exists, and its password was in {file}, which is gone; to begin anew: make reset"
        )
    token = expect_created(answer)["token"]
    answer = await accounts.post("/v1/keys", json={"name": "demo"}, headers={"Authorization": f"Bearer {token}"})
    return expect_created(answer)["key"]


def expect_created(answer: httpx.Response) -> dict[str, str]:
    if answer.status_code != HTTPStatus.CREATED:
        request = answer.request
        raise LocalError(f"{request.method} {request.url} answered {answer.status_code}: {answer.text}")
    body: dict[str, str] = answer.json()
    return body


async def wait_for(url: str, api_key: str, good: Callable[[httpx.Response], bool]) -> None:
    """Polls until the answer is good; then the calls we print work when they are pasted at once."""
    deadline = time.monotonic() + KNOWN_WITHIN_S
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {api_key}"}, timeout=30) as client:
        while not good(answer := await client.get(url)):
            if time.monotonic() > deadline:
                raise LocalError(f"after {KNOWN_WITHIN_S} s {url} still answers the demo account's key: {answer.text}")
            await asyncio.sleep(0.1)


def is_known(answer: httpx.Response) -> bool:
    return answer.is_success


def has_credit(answer: httpx.Response) -> bool:
    return answer.is_success and answer.json()["posted_nano"] > 0
