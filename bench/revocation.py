"""The time a revoked key keeps working: from the request that revokes it to the first request that the edge rejects.

Several clients use each key without a pause. The result is the start of the last accepted request after the request to
revoke the key. Keys are measured one at a time, on a whole system with its own engines.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from e2e.running import Tollgate, running_tollgate
from engines.run import Run, find_engines

CALLERS = 4


async def measure(tollgate: Tollgate, session: str) -> tuple[float, float]:
    """Return the seconds from the start of the revocation to its response, and to the first rejected request after
    which none is accepted.
    """
    key = await tollgate.create_key(session, "to be revoked")
    await tollgate.until_known(key["key"])
    refused = asyncio.Event()
    last_let_in = first_refused = 0.0

    async def use() -> None:
        nonlocal last_let_in, first_refused
        while not refused.is_set() or time.perf_counter() < first_refused + 0.2:
            began = time.perf_counter()
            answer = await tollgate.http.get(
                f"{tollgate.base_url}/models", headers={"Authorization": f"Bearer {key['key']}"}
            )
            if answer.is_success:
                last_let_in = max(last_let_in, began)
            elif answer.status_code == httpx.codes.UNAUTHORIZED:
                if not refused.is_set():
                    first_refused = time.perf_counter()
                    refused.set()
            else:
                answer.raise_for_status()

    callers = [asyncio.create_task(use()) for _ in range(CALLERS)]
    began = time.perf_counter()
    answer = await tollgate.http.delete(
        f"{tollgate.system.url('accounts')}/v1/keys/{key['id']}", headers={"Authorization": f"Bearer {session}"}
    )
    answer.raise_for_status()
    answered = time.perf_counter()
    async with asyncio.timeout(60):
        await asyncio.gather(*callers)
    return answered - began, max(last_let_in, first_refused) - began


async def run(keys: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_tollgate(find_engines(), Path(folder)) as tollgate:
            customer = await tollgate.sign_up()
            measured = [await measure(tollgate, customer.session) for _ in range(keys)]
    for name, column in zip(("answered", "refused"), zip(*measured, strict=True), strict=True):
        cuts = statistics.quantiles(column, n=100, method="inclusive")
        print(f"{name:<9} p50 {cuts[49]:.3f} s   p99 {cuts[98]:.3f} s   max {max(column):.3f} s   ({keys} keys)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100)
    arguments = parser.parse_args()
    engines = Run()
    try:
        asyncio.run(run(arguments.keys))
    finally:
        engines.end()


if __name__ == "__main__":
    main()
