"""`kill -9` of each consumer in the middle of a load: ledger = charges = usage = what the clients received."""

import asyncio
import json
import os
import random
import signal
from fractions import Fraction
from typing import Any

import httpx
import pytest

from e2e.running import Customer, Tollgate, until
from tollgate_common import clickhouse

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("e2e"),
    pytest.mark.timeout(3600),
]

# The long form is `make chaos`.
IS_LONG = os.environ.get("TOLLGATE_CHAOS") == "long"
REQUESTS, ROUNDS = (30_000, 5) if IS_LONG else (3_000, 2)
CONCURRENCY = 24
PATIENCE_S = 120
CONSUMERS = ("balance", "billing", "analytics")
CREDIT_NANO = 100 * 10**9
# USD for a million tokens as OpenAI publishes them: an oracle of its own, not the catalogue's.
USD = {
    "gpt-4o": {"input": Fraction("2.5"), "cached": Fraction("1.25"), "output": Fraction(10)},
    "gpt-4o-mini": {"input": Fraction("0.15"), "cached": Fraction("0.075"), "output": Fraction("0.6")},
}


def cost_nano(model: str, usage: dict[str, Any]) -> int:
    """What an answer cost, from the usage that the client was told, without any of the system's code."""
    price = USD[model]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    micro_usd = (
        (usage["prompt_tokens"] - cached) * price["input"]
        + cached * price["cached"]
        + usage["completion_tokens"] * price["output"]
    )
    return int(micro_usd * 1_000 + Fraction(1, 2))


class Load:
    """Some thousand calls of one customer, streamed and not, and the cost of each that was answered."""

    def __init__(self, tollgate: Tollgate, customer: Customer, seed: int) -> None:
        self._tollgate, self._customer = tollgate, customer
        self._random = random.Random(seed)
        self.costs_nano = [cost_nano("gpt-4o-mini", usage) for usage in customer.received]
        self.tokens = customer.received_tokens("total_tokens")

    async def run(self, requests: int) -> None:
        calls = asyncio.Semaphore(CONCURRENCY)

        async def one(model: str, *, stream: bool, number: int) -> None:
            async with calls:
                usage = await self._call(model, stream=stream, number=number)
            self.costs_nano.append(cost_nano(model, usage))
            self.tokens += usage["total_tokens"]

        async with asyncio.TaskGroup() as group:
            for number in range(requests):
                group.create_task(
                    one(self._random.choice(list(USD)), stream=self._random.random() < 0.5, number=number)
                )

    async def _call(self, model: str, *, stream: bool, number: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": f"Say {number}"}],
            "max_tokens": 8,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = await self._answer(body)
        assert answer.status_code == 200, answer.text
        usage: dict[str, Any]
        if stream:
            *_, last, done = [line for line in answer.text.split("\n\n") if line]
            assert done == "data: [DONE]"
            usage = json.loads(last.removeprefix("data: "))["usage"]
        else:
            usage = answer.json()["usage"]
        return usage

    async def _answer(self, body: dict[str, Any]) -> httpx.Response:
        """While nobody can grant credit, the edge refuses, records nothing, and asks to come again."""
        url = f"{self._tollgate.base_url}/chat/completions"
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self._tollgate.http.post(url, json=body, headers=self._customer.with_key)
                if answer.status_code != 503 or answer.json()["error"]["code"] != "balance_unavailable":
                    return answer
                await asyncio.sleep(float(answer.headers["retry-after"]))


async def kill_each(tollgate: Tollgate, rounds: int, seed: int) -> None:
    """Each consumer in turn, at a random moment of its work; the supervisor starts it again."""
    moments = random.Random(seed)
    for _ in range(rounds):
        for name in CONSUMERS:
            await asyncio.sleep(moments.uniform(0.2, 1.5))
            pid = tollgate.supervisor.pid(name)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)


async def test_no_request_is_lost_or_doubled(tollgate: Tollgate) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    customer = await tollgate.sign_up(credit_usd="100")
    load = Load(tollgate, customer, seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(REQUESTS))
        group.create_task(kill_each(tollgate, ROUNDS, seed))
    expected = {"requests": len(load.costs_nano), "cost_nano": sum(load.costs_nano), "tokens": load.tokens}
    assert expected["requests"] == REQUESTS + len(customer.received)

    await until(lambda: agrees(tollgate, customer, expected), within_s=100)
    # Whatever came twice would still be on its way.
    await asyncio.sleep(2)
    assert await numbers(tollgate, customer) == {
        "usage": expected,
        "charges": expected,
        "ledger": expected["cost_nano"],
    }


async def agrees(tollgate: Tollgate, customer: Customer, expected: dict[str, int]) -> bool:
    try:
        found = await numbers(tollgate, customer)
    except httpx.TransportError:
        return False  # a service that was killed is starting again
    return found == {"usage": expected, "charges": expected, "ledger": expected["cost_nano"]}


async def numbers(tollgate: Tollgate, customer: Customer) -> dict[str, Any]:
    total = (await tollgate.usage(customer))["total"]
    return {
        "usage": {"requests": total["requests"], "cost_nano": total["cost_nano"], "tokens": total["total_tokens"]},
        "charges": await charged(tollgate, customer),
        "ledger": CREDIT_NANO - (await tollgate.balance(customer))["posted_nano"],
    }


async def charged(tollgate: Tollgate, customer: Customer) -> dict[str, int]:
    """Straight from the rows, one by one."""
    client = await clickhouse.connect(tollgate.clickhouse_url("billing"))
    try:
        found = await client.query(
            "SELECT count(), sum(amount_nano), "
            "sum(input_tokens + cached_input_tokens + output_tokens + reasoning_tokens) "
            "FROM charges WHERE kind = 'charge' AND key_id = {key_id:String}",
            parameters={"key_id": customer.key_id},
        )
    finally:
        await client.close()
    ((requests, cost_nano, tokens),) = found.result_rows
    return {"requests": requests, "cost_nano": cost_nano, "tokens": tokens}
