"""How long after an answer its usage is in `GET /v1/usage`, and its cost in `GET /v1/balance`.

Calls one after the other, on a whole system of its own over engines of its own; each API is asked until it tells
exactly what the answer told. Run with `make bench`.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from e2e.running import Customer, Tollgate, running_tollgate
from engines.run import Run, find_engines

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count to three"}], "max_tokens": 8}


async def measure(tollgate: Tollgate, customer: Customer) -> tuple[float, float]:
    """Seconds from the answer's last byte until the usage and the balance tell of it."""
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

    return await asyncio.gather(seconds_until(usage_tells, answered), seconds_until(balance_tells, answered))


async def seconds_until(condition: Callable[[], Awaitable[bool]], since: float) -> float:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.005)
    return time.perf_counter() - since


async def run(calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_tollgate(find_engines(), Path(folder)) as tollgate:
            customer = await tollgate.sign_up()
            await asyncio.sleep(2)
            measured = [await measure(tollgate, customer) for _ in range(calls)]
    for name, column in zip(("usage", "balance"), zip(*measured, strict=True), strict=True):
        cuts = statistics.quantiles(column, n=100, method="inclusive")
        print(f"{name:<8} p50 {cuts[49]:.3f} s   p99 {cuts[98]:.3f} s   max {max(column):.3f} s   ({calls} calls)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    arguments = parser.parse_args()
    engines = Run()
    try:
        asyncio.run(run(arguments.calls))
    finally:
        engines.end()


if __name__ == "__main__":
    main()
