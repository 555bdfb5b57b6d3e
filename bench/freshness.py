"""The delay from a response to its usage in `GET /v1/usage`, its cost in `GET /v1/balance`, and both in the stream.

It starts a whole system with its own engines and sends one request at a time. It queries each API until it returns
exactly the usage that the response reported. With `--rate`, another customer sends that many requests per second. Run
it with `make bench`.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

import aiohttp
import httpx

from e2e.running import Customer, Tollgate, running_tollgate
from engines.run import Run, find_engines

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count to three"}], "max_tokens": 8}


class LiveWatch:
    """Follows a customer's live stream, and records when it reported the usage of each request."""

    def __init__(self, url: str, customer: Customer) -> None:
        self._url = url
        self._headers = customer.with_key
        self._told: dict[str, float] = {}
        self.ready = asyncio.Event()

    async def run(self) -> None:
        async with (
            httpx.AsyncClient(timeout=None) as http,  # noqa: S113 - the stream has no end
            http.stream("GET", self._url, headers=self._headers) as told,
        ):
            event = ""
            async for line in told.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                    self.ready.set()
                elif line.startswith("data: ") and event == "usage":
                    self._told[json.loads(line.removeprefix("data: "))["id"]] = time.perf_counter()

    async def told(self, request_id: str) -> float:
        async with asyncio.timeout(60):
            while request_id not in self._told:
                await asyncio.sleep(0.001)
        return self._told[request_id]


async def measure(tollgate: Tollgate, customer: Customer, watch: LiveWatch) -> tuple[float, float, float]:
    """Return the seconds from the response's last byte until the usage, the balance and the live stream include it."""
    tokens = (await tollgate.usage(customer))["total"]["total_tokens"]
    posted = (await tollgate.balance(customer))["posted_nano"]
    url = f"{tollgate.base_url}/chat/completions"
    answer = await tollgate.http.post(url, json=QUESTION, headers=customer.with_key)
    answered = time.perf_counter()
    used = answer.json()["usage"]["total_tokens"]

    async def usage_tells() -> bool:
        return bool((await tollgate.usage(customer))["total"]["total_tokens"] == tokens + used)

    async def balance_tells() -> bool:
        return bool((await tollgate.balance(customer))["posted_nano"] < posted)

    async def live_tells() -> float:
        # The event may arrive before the last byte of the response.
        return max(0.0, await watch.told(answer.headers["x-request-id"]) - answered)

    usage, balance, live = await asyncio.gather(
        seconds_until(usage_tells, answered), seconds_until(balance_tells, answered), live_tells()
    )
    return usage, balance, live


async def load(tollgate: Tollgate, customer: Customer, rate: int, done: list[int]) -> None:
    """Send requests at an even rate until canceled. A late request does not delay the next one."""
    url = f"{tollgate.base_url}/chat/completions"
    async with aiohttp.ClientSession(headers=customer.with_key, connector=aiohttp.TCPConnector(limit=200)) as session:

        async def ask() -> None:
            async with session.post(url, json=QUESTION) as answer:
                await answer.read()
                done[answer.status != HTTPStatus.OK] += 1

        async with asyncio.TaskGroup() as asking:
            started, asked = time.perf_counter(), 0
            while True:
                due = int((time.perf_counter() - started) * rate)
                for _ in range(due - asked):
                    asking.create_task(ask())
                asked = due
                await asyncio.sleep(0.01)


async def seconds_until(condition: Callable[[], Awaitable[bool]], since: float) -> float:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.005)
    return time.perf_counter() - since


async def run(calls: int, rate: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_tollgate(find_engines(), Path(folder)) as tollgate:
            customer, busy = await tollgate.sign_up(), await tollgate.sign_up("1000")
            watch = LiveWatch(f"{tollgate.system.url('analytics')}/v1/live", customer)
            done = [0, 0]
            tasks = [asyncio.create_task(watch.run())]
            await watch.ready.wait()
            if rate:
                tasks.append(asyncio.create_task(load(tollgate, busy, rate, done)))
            await asyncio.sleep(2)
            started, before = time.perf_counter(), sum(done)
            measured = [await measure(tollgate, customer, watch) for _ in range(calls)]
            reached = (sum(done) - before) / (time.perf_counter() - started)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    print(f"beside {reached:.0f} requests/s, {done[1]} of {sum(done)} without a 200 response")
    for name, column in zip(("usage", "balance", "live"), zip(*measured, strict=True), strict=True):
        cuts = statistics.quantiles(column, n=100, method="inclusive")
        print(f"{name:<8} p50 {cuts[49]:.3f} s   p99 {cuts[98]:.3f} s   max {max(column):.3f} s   ({calls} calls)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--rate", type=int, default=0, help="requests per second of another customer")
    arguments = parser.parse_args()
    engines = Run()
    try:
        asyncio.run(run(arguments.calls, arguments.rate))
    finally:
        engines.end()


if __name__ == "__main__":
    main()
