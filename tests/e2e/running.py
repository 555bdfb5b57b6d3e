"""A running Tollgate for one test module, and the customers who use it."""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from engines.stores import delete_topics, unique_name
from tollgate_common.kafka.brokers import Brokers
from tollgate_local.demo import ACCOUNTS, expect_created
from tollgate_local.engines import EngineAddresses
from tollgate_local.ports import free_port, free_ports
from tollgate_local.processes import Reaper, run_forked
from tollgate_local.supervisor import Part, Patience, Supervisor
from tollgate_local.system import SERVICES, Service, System, python
from waiting import until


@dataclass(frozen=True)
class Customer:
    """Someone who has signed up, one key that they made, and the usage that each answer told them of."""

    email: str
    session: str
    key_id: str
    key: str
    received: list[dict[str, Any]] = field(default_factory=list)

    def received_tokens(self, name: str) -> int:
        """The sum of `prompt_tokens` or `completion_tokens` over all answers."""
        return sum(usage[name] for usage in self.received)

    @property
    def with_key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def with_session(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.session}"}


@dataclass(frozen=True)
class Tollgate:
    """The addresses of a running system, and what people do with it."""

    system: System
    supervisor: Supervisor
    http: httpx.AsyncClient

    @property
    def base_url(self) -> str:
        """What a customer points an OpenAI SDK at."""
        return f"{self.system.url('edge')}/v1"

    def clickhouse_url(self, service: str) -> str:
        """For a look at the rows themselves."""
        return self._environment(service)["TOLLGATE_CLICKHOUSE_URL"]

    def postgres_dsn(self, service: str) -> str:
        """Likewise."""
        return self._environment(service)["TOLLGATE_POSTGRES_DSN"]

    def _environment(self, service: str) -> dict[str, str]:
        return self.system.environment(next(found for found in SERVICES if found.name == service))

    async def sign_up(self, credit_usd: str | None = "10") -> Customer:
        """A new customer with a key that the edge knows; None leaves them without credit."""
        email, password = f"{uuid.uuid4().hex}@example.com", uuid.uuid4().hex
        accounts = self.system.url("accounts")
        body = {"email": email, "password": password}
        if credit_usd is not None:
            body["promo_code"] = await self.create_promo_code(credit_usd)
        expect_created(await self.http.post(f"{accounts}/v1/accounts", json=body))
        signed_in = await self.http.post(f"{accounts}/v1/sessions", json={"email": email, "password": password})
        session = expect_created(signed_in)["token"]
        key = await self.create_key(session, "laptop")
        customer = Customer(email, session, key["id"], key["key"])
        await self.until_known(customer.key)
        if credit_usd is not None:
            await until(lambda: self._has_credit(customer))
        return customer

    async def create_key(self, session: str, name: str, **rights: Any) -> dict[str, str]:
        accounts = self.system.url("accounts")
        headers = {"Authorization": f"Bearer {session}"}
        body = {"name": name} | rights
        return expect_created(await self.http.post(f"{accounts}/v1/keys", json=body, headers=headers))

    async def create_promo_code(self, amount_usd: str) -> str:
        code = unique_name().upper()
        command = python(ACCOUNTS.module, "create-promo-code", code, "--amount-usd", amount_usd)
        await run_forked("a promo code", command, self.system.environment(ACCOUNTS))
        return code

    async def until_known(self, key: str) -> None:
        async def known() -> bool:
            answer = await self.http.get(f"{self.base_url}/models", headers={"Authorization": f"Bearer {key}"})
            return answer.is_success

        await until(known)

    async def _has_credit(self, customer: Customer) -> bool:
        """Whether the edge lets the customer in. It is a call like any other, and billed as one."""
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        answer = await self.http.post(f"{self.base_url}/chat/completions", json=body, headers=customer.with_key)
        if answer.is_success:
            customer.received.append(answer.json()["usage"])
        return answer.is_success

    async def usage(self, customer: Customer) -> dict[str, Any]:
        return await self.get("analytics", "/v1/usage", customer)

    async def balance(self, customer: Customer) -> dict[str, Any]:
        return await self.get("balance", "/v1/balance", customer)

    async def get(self, service: str, path: str, customer: Customer) -> dict[str, Any]:
        answer = await self.http.get(f"{self.system.url(service)}{path}", headers=customer.with_key)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body


@asynccontextmanager
async def running_tollgate(
    engines: EngineAddresses,
    folder: Path,
    *,
    more: Sequence[Service] = (),
    settings: Mapping[str, str] | None = None,
    own_settings: Mapping[str, Mapping[str, str]] | None = None,
    patience: Patience | None = None,
    parts: Callable[[System], Sequence[Part]] = System.parts,
    with_console: bool = False,
    name: str | None = None,
) -> AsyncIterator[Tollgate]:
    """All services over the shared engines, under a name of their own; the name's topics are deleted after.

    Args:
        engines: shared with other tests.
        folder: for data and logs.
        more: beside one of each.
        settings: further variables for every service.
        own_settings: further variables for one part, by its name.
        patience: with services that are killed.
        parts: what is run of the system, and how.
        with_console: run the web console too.
        name: what the names of its topics and databases begin with; None makes one up.
    """
    system = System(
        lambda: engines,
        free_ports() | {service.name: free_port() for service in more},
        folder / "data",
        folder / "logs",
        name=name or unique_name(),
        more=tuple(more),
        settings=settings or {},
        own_settings=own_settings or {},
        with_console=with_console,
    )
    system.logs.mkdir(parents=True)
    with Reaper() as reaper:
        async with Supervisor(parts(system), reaper, print, patience) as supervisor:
            await supervisor.wait_ready()
            async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=200)) as client:
                yield Tollgate(system, supervisor, client)
    await delete_topics(Brokers(engines.kafka_bootstrap), system.name)
