"""One dollar, four edges, hundreds of requests at once: the account is never overspent, and the dollar is spent.

With nothing killed, nothing is written off. With an edge killed, no more than its leases held.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from e2e.running import Customer, Tollgate, running_tollgate, until
from tollgate_common.money import NANO_PER_UNIT, decimal_from_nano
from tollgate_local.engines import EngineAddresses
from tollgate_local.system import Service

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("e2e"),
    pytest.mark.timeout(400),
]

EDGES = ("edge", "edge-2", "edge-3", "edge-4")
REQUESTS = 400
LEASE_S = 8
# Nano-units per output token, as OpenAI publishes them; what a request costs is drawn evenly over the powers of ten.
OUTPUT_NANO = {"gpt-4o": 10_000, "gpt-4o-mini": 600}
LEAST_NANO, MOST_NANO = 100_000, 200_000_000
MOST_TOKENS = 20_000
# One who is told that requests in flight hold the credit comes again so often.
TRIES = 6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tollgate(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    folder = tmp_path_factory.mktemp("tollgate")
    more = [Service(name, program="edge") for name in EDGES[1:]]
    settings = {"TOLLGATE_LEASE_S": str(LEASE_S)}
    async with running_tollgate(engines, folder, more=more, settings=settings) as tollgate:
        yield tollgate


@dataclass
class Watch:
    """What the balance service said while the load ran."""

    looks: int = 0
    least_available_nano: int = NANO_PER_UNIT
    most_held_nano: int = 0


@asynccontextmanager
async def watching(tollgate: Tollgate, customer: Customer) -> AsyncIterator[Watch]:
    """Look at the account all the time: `posted >= held >= 0` at each look."""
    watch = Watch()

    async def look_always() -> None:
        while True:
            balance = await tollgate.balance(customer)
            assert balance["posted_nano"] >= balance["held_nano"] >= 0, balance
            watch.looks += 1
            watch.least_available_nano = min(watch.least_available_nano, balance["available_nano"])
            watch.most_held_nano = max(watch.most_held_nano, balance["held_nano"])
            await asyncio.sleep(0.05)

    task = asyncio.create_task(look_always())
    try:
        yield watch
    finally:
        task.cancel()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
    assert isinstance(result, asyncio.CancelledError), result


@dataclass
class Load:
    """Requests of random kind, size and edge, all at once."""

    tollgate: Tollgate
    customer: Customer
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        chance = random.Random(self.seed)
        calls = [self._draw(chance, number) for number in range(REQUESTS)]
        limits = httpx.Limits(max_connections=REQUESTS)
        async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as http:
            await asyncio.gather(*(self._insist(http, edge, body) for edge, body in calls))

    @staticmethod
    def _draw(chance: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        model = chance.choice(list(OUTPUT_NANO))
        cost_nano = LEAST_NANO * (MOST_NANO / LEAST_NANO) ** chance.random()
        tokens = min(MOST_TOKENS, max(1, int(cost_nano / OUTPUT_NANO[model])))
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": f"Say {number}"}],
            "metadata": {"simulate": f"tokens:{tokens}"},
            "stream": chance.random() < 0.5,
        }
        # Whole answers always have a limit: without one they reserve the model's size.
        if not body["stream"] or chance.random() < 0.5:
            body["max_tokens"] = int(tokens * chance.uniform(1, 2))
        return chance.choice(EDGES), body

    async def _insist(self, http: httpx.AsyncClient, edge: str, body: dict[str, Any]) -> None:
        outcome = ""
        for _ in range(TRIES):
            outcome = await self._call(http, edge, body)
            if outcome not in ("held", "broken"):
                break
            await asyncio.sleep(1)
        self.outcomes[outcome] += 1

    async def _call(self, http: httpx.AsyncClient, edge: str, body: dict[str, Any]) -> str:
        url = f"{self.tollgate.system.url(edge)}/v1/chat/completions"
        try:
            answer = await http.post(url, json=body, headers=self.customer.with_key)
        except httpx.TransportError:
            return "broken"
        if answer.status_code == 402:
            assert answer.json()["error"]["code"] == "insufficient_quota"
            assert answer.headers["x-should-retry"] == "false"
            return "held" if "held" in answer.text else "spent"
        assert answer.status_code == 200, answer.text
        if body["stream"] and '"insufficient_quota"' in answer.text:
            assert '"finish_reason":"length"' in answer.text
            return "cut off"
        return "served"


async def balance_metrics(tollgate: Tollgate) -> dict[str, int]:
    text = (await tollgate.http.get(f"{tollgate.system.url('balance')}/metrics")).text
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }
    names = ("written_off_nano", "released_nano", "boots_fenced")
    return {name: int(samples[f"tollgate_balance_{name}_total"]) for name in names}


async def settled(tollgate: Tollgate, customer: Customer) -> dict[str, Any]:
    """The balance once nothing is held: every lease is closed or released, and all usage is in the ledger."""

    async def nothing_held() -> bool:
        return bool((await tollgate.balance(customer))["held_nano"] == 0)

    await until(nothing_held, within_s=90)
    return await tollgate.balance(customer)


def report(load: Load, watch: Watch, balance: dict[str, Any], metrics: dict[str, int]) -> None:
    print(
        f"seed {load.seed}: {dict(load.outcomes)}; {watch.looks} looks, least available "
        f"{decimal_from_nano(watch.least_available_nano)}, most held {decimal_from_nano(watch.most_held_nano)}; "
        f"left {balance['posted']}; written off {decimal_from_nano(metrics['written_off_nano'])} "
        f"of at most {decimal_from_nano(metrics['released_nano'])}; fenced {metrics['boots_fenced']}"
    )


async def test_a_dollar_is_spent_once(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up(credit_usd="1")
    load = Load(tollgate, customer, random.randrange(2**32))
    before = await balance_metrics(tollgate)
    async with watching(tollgate, customer) as watch:
        await load.run()
        balance = await settled(tollgate, customer)
    metrics = {name: value - before[name] for name, value in (await balance_metrics(tollgate)).items()}
    report(load, watch, balance, metrics)
    assert metrics["written_off_nano"] == 0
    assert 0 <= balance["posted_nano"] <= NANO_PER_UNIT // 20
    assert set(load.outcomes) <= {"served", "spent", "held", "cut off"}
    assert load.outcomes["served"] > 0
    assert load.outcomes["spent"] + load.outcomes["held"] > 0


async def test_a_killed_edge_costs_no_more_than_it_held(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up(credit_usd="1")
    load = Load(tollgate, customer, random.randrange(2**32))
    before = await balance_metrics(tollgate)
    async with watching(tollgate, customer) as watch, asyncio.TaskGroup() as group:
        group.create_task(load.run())
        await asyncio.sleep(random.Random(load.seed).uniform(0.5, 3))
        pid = tollgate.supervisor.pid(EDGES[1])
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    balance = await settled(tollgate, customer)
    metrics = {name: value - before[name] for name, value in (await balance_metrics(tollgate)).items()}
    report(load, watch, balance, metrics)
    assert metrics["boots_fenced"] >= 1
    assert metrics["written_off_nano"] <= metrics["released_nano"]
    assert balance["posted_nano"] >= 0


async def test_an_edge_that_was_frozen_goes_on_under_a_new_name(tollgate: Tollgate) -> None:
    """Longer than a lease lasts: its boot is fenced, and what it held is the others' again."""
    customer = await tollgate.sign_up(credit_usd="1")
    http, body = tollgate.http, {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    url = f"{tollgate.system.url(EDGES[2])}/v1/chat/completions"

    async def serves() -> bool:
        return (await http.post(url, json=body, headers=customer.with_key)).is_success

    async def fenced() -> bool:
        return (await balance_metrics(tollgate))["boots_fenced"] > before["boots_fenced"]

    await until(serves)
    before = await balance_metrics(tollgate)
    pid = tollgate.supervisor.pid(EDGES[2])
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(fenced, within_s=60)
    finally:
        os.kill(pid, signal.SIGCONT)
    await until(serves)
    balance = await settled(tollgate, customer)
    metrics = await balance_metrics(tollgate)
    assert metrics["written_off_nano"] == before["written_off_nano"]
    assert 0 < balance["posted_nano"] < NANO_PER_UNIT


async def test_no_reservation_outlives_its_request(tollgate: Tollgate) -> None:
    """However requests end, the edge closes its lease when it is idle, which it does only with nothing reserved."""
    customer = await tollgate.sign_up(credit_usd="1")
    before = await balance_metrics(tollgate)

    async def call(simulate: str, *, stream: bool, patience_s: float = 30) -> None:
        body = {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "hi"}],
            "metadata": {"simulate": simulate},
            "stream": stream,
        }
        with suppress(httpx.TransportError):
            url = f"{tollgate.base_url}/chat/completions"
            await tollgate.http.post(url, json=body, headers=customer.with_key, timeout=patience_s)

    for stream in (True, False):
        for simulate in ("tokens:9", "error:500", "error:400", "close_before_answer", "garbage", "no_usage"):
            await call(simulate, stream=stream)
    for simulate in ("die_mid_stream:3", "garbage_mid_stream:3", "error_mid_stream:3"):
        await call(simulate, stream=True)
    # The client leaves: in the middle of a stream, and before an answer.
    await call("slow_chunks:200,tokens:50", stream=True, patience_s=0.5)
    await call("slow_first_byte:1500", stream=False, patience_s=0.5)
    balance = await settled(tollgate, customer)
    assert 0 < balance["posted_nano"] < NANO_PER_UNIT
    assert await balance_metrics(tollgate) == before
