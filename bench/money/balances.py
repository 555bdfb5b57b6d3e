"""The delay from a response's last byte until the edge has the new balance.

An edge sends the last byte once Kafka has acknowledged the usage. The measurement begins at that acknowledgment. It
includes the balance service as a separate process, its ledger, its outbox and balances.v1, and ends when the edge's
reader has the balance. Nothing polls, because this process is the edge and all its clients, and polling would cost it
more than the work costs the service.
"""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import httpx
from bench.money.figures import Figure, percentile
from bench.money.place import Place, own_place
from bench.money.usage import Edge

from tollgate_balance.credits.handlers import grant_credit
from tollgate_common.clock import utc_now
from tollgate_common.events import CreditGranted, TokensUsed, encode
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres.connection import create_pool
from tollgate_common.topics import Topic
from tollgate_edge.credit.admission import Balances
from tollgate_local.ports import free_port

RATE, LASTS_S, PARTITIONS = 500, 20, 4
ACCOUNTS = RATE  # one request per second each, so that every change of a balance is observed
WARM_S = 3
CREDIT_NANO = 10**12
GOAL_MS = 500


class WatchedBalances(Balances):
    """Reports the time at which an awaited balance arrives."""

    def __init__(self, brokers: Brokers, prefix: str) -> None:
        super().__init__(brokers, prefix)
        self._waiting: dict[str, list[tuple[int, asyncio.Future[float]]]] = defaultdict(list)

    async def at_most(self, account_id: str, nano: int) -> float:
        """Return the time at which the edge had a balance of at most this amount."""
        came: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[account_id].append((nano, came))
        self._publish(account_id)
        async with asyncio.timeout(60):
            return await came

    def _apply(self, account_id: str, value: bytes | None) -> None:
        super()._apply(account_id, value)
        self._publish(account_id)

    def _publish(self, account_id: str) -> None:
        available_nano = self.available_nano(account_id)
        for waiting in self._waiting[account_id][:]:
            nano, came = waiting
            if available_nano <= nano:
                self._waiting[account_id].remove(waiting)
                came.set_result(time.perf_counter())


async def measure() -> list[Figure]:
    async with own_place(PARTITIONS) as place:
        async with create_pool(place.dsn) as pool:
            for number in range(ACCOUNTS):
                grant = CreditGranted(
                    grant_id=new_id(),
                    account_id=f"account-{number}",
                    at=utc_now(),
                    amount_nano=CREDIT_NANO,
                    source="payment",
                )
                await grant_credit(pool, grant)
        async with _service(place):
            waited_s = await _send(place)
    return [
        Figure(
            f"usage acknowledged → edge knows the balance, p99 at {RATE}/s",
            percentile(waited_s, 99) * 1000,
            "ms",
            GOAL_MS,
            at_most=True,
            note=f"p50 {percentile(waited_s, 50) * 1000:.0f} ms, of {len(waited_s)}",
        )
    ]


@asynccontextmanager
async def _service(place: Place) -> AsyncIterator[None]:
    port = free_port()
    environment = os.environ | {
        "TOLLGATE_KAFKA_BOOTSTRAP": place.brokers.bootstrap,
        "TOLLGATE_TOPIC_PREFIX": place.prefix,
        "TOLLGATE_POSTGRES_DSN": place.dsn,
        "TOLLGATE_PORT": str(port),
        "TOLLGATE_LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tollgate_balance.main", env=environment)
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(60):
            while not await _is_ready(http, port):
                await asyncio.sleep(0.1)
        yield
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(http: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success
    except httpx.TransportError:
        return False


async def _send(place: Place) -> list[float]:
    """Return the delay of each request's balance in seconds, after the warm-up."""
    edge, balances = Edge(PARTITIONS), WatchedBalances(place.brokers, place.prefix)
    producer = create_producer(place.brokers)
    await producer.start()
    reading = asyncio.create_task(balances.topic.run())
    waited_s: list[float] = []
    try:
        while any(balances.available_nano(f"account-{number}") != CREDIT_NANO for number in range(ACCOUNTS)):
            await asyncio.sleep(0.05)
        began_s, requests = time.perf_counter(), []
        for number in range(RATE * LASTS_S):
            await asyncio.sleep(max(0.0, began_s + number / RATE - time.perf_counter()))
            times, account = divmod(number, ACCOUNTS)
            expected_nano = CREDIT_NANO - 1_000 * (times + 1)
            sample = waited_s if times >= WARM_S else []
            event = edge.used(f"account-{account}", 1_000)
            request = _request(await _produce(place, producer, event), balances, event, expected_nano)
            requests.append(asyncio.create_task(_append(request, sample)))
        await asyncio.gather(*requests)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await producer.stop()
    return waited_s


async def _produce(place: Place, producer: KafkaProducer, event: TokensUsed) -> Awaitable[object]:
    """Send an event and return the future of its acknowledgment."""
    acknowledged: Awaitable[object] = await producer.send(
        Topic.USAGE.named(place.prefix), encode(event), partition=event.stamp.partition
    )
    return acknowledged


async def _request(
    acknowledged: Awaitable[object], balances: WatchedBalances, event: TokensUsed, expected_nano: int
) -> float:
    await acknowledged
    acknowledged_s = time.perf_counter()
    return max(0.0, await balances.at_most(event.request.account_id, expected_nano) - acknowledged_s)


async def _append(request: Awaitable[float], sample: list[float]) -> None:
    sample.append(await request)
