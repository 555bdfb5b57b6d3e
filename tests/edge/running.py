"""An edge as a process of its own, the records it needs in Kafka, and the events that it wrote there."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from tollgate_common.auth import api_key as apikey
from tollgate_common.clock import utc_now
from tollgate_common.events import (
    BalanceRecord,
    Event,
    KeyRecord,
    ModelRecord,
    PlanRecord,
    PlanVersion,
    PriceVersion,
    RequestClosed,
    RequestDimensions,
    RequestOpened,
    StampedEvent,
    TokensUsed,
    decode_request,
    decode_usage,
    encode,
)
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.producer import create_producer
from tollgate_common.rating import Prices
from tollgate_common.topics import Topic, create_topics
from tollgate_local.ports import free_port

WITHIN_S = 90.0
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
# As they are for real, so that a mistake of a factor shows: USD 2.50, 1.25 and 10 per million tokens.
PRICES = Prices(input=2_500_000_000, cached_input=1_250_000_000, output=10_000_000_000)
OLD_PRICES = Prices(input=1, output=1)
COMING_PRICES = Prices(input=999_000_000_000, output=999_000_000_000)
# Of providers that speak other protocols than OpenAI's, by whose they are.
FOREIGN_MODELS = {"claude-sonnet-5-5": "anthropic", "gemini-2.5-flash": "google"}
# By the model that is for another endpoint than chat: a dollar for a million tokens, a cent for an image, and so on.
UNIT_PRICES = {
    "text-embedding-3-small": Prices(input=1_000_000_000, output=0),
    "gpt-3.5-turbo-instruct": Prices(input=1_000_000_000, output=2_000_000_000),
    "gpt-5.6-luna": Prices(input=200_000_000, cached_input=20_000_000, cache_write=250_000_000, output=1_200_000_000),
    "dall-e-3": Prices(input=0, output=0, images=40_000_000_000_000),
    "gpt-image-1": Prices(input=5_000_000_000, output=40_000_000_000),
    "tts-1": Prices(input=0, output=0, characters=15_000_000_000),
    "gpt-4o-mini-tts": Prices(input=600_000_000, output=12_000_000_000),
    "whisper-1": Prices(input=0, output=0, audio_seconds=100_000_000_000),
    "gpt-4o-transcribe": Prices(input=2_500_000_000, output=10_000_000_000, audio_input=6_000_000_000),
    "omni-moderation-latest": Prices(input=0, output=0, request_nano=7),
    "rerank-v3.5": Prices(input=0, output=0, searches=2_000_000_000_000),
}
PRICE_VERSION = "price-now"
PLAN_VERSION = "plan-now"
RICH, POOR, SPENT = "account-rich", "account-unheard-of", "account-spent"


@dataclass(frozen=True)
class Keys:
    """API keys by what is special about them."""

    good: str
    poor: str
    spent: str
    expired: str
    limited: str
    odd_plan: str
    revoked: str


def versions(*steps: tuple[str, datetime, Prices]) -> tuple[PriceVersion, ...]:
    return tuple(PriceVersion(price_version=name, valid_from=at, prices=prices) for name, at, prices in steps)


def models() -> list[ModelRecord]:
    now = utc_now()
    priced = versions(
        ("price-old", LONG_AGO, OLD_PRICES),
        (PRICE_VERSION, now - timedelta(days=1), PRICES),
        ("price-coming", now + timedelta(days=1), COMING_PRICES),
    )
    return [
        *(ModelRecord(model=name, provider="openai", versions=priced) for name in ("gpt-4o", "gpt-4o-mini", "o4-mini")),
        ModelRecord(model="coming", provider="openai", versions=priced[2:]),
        ModelRecord(model="elsewhere", provider="another", versions=priced),
        *(
            ModelRecord(model=name, provider="openai", versions=versions((PRICE_VERSION, LONG_AGO, prices)))
            for name, prices in UNIT_PRICES.items()
        ),
        *(
            ModelRecord(
                model=name,
                provider=provider,
                versions=priced,
                context_tokens=200_000,
                max_output_tokens=64_000,
                capabilities=("tools",),
            )
            for name, provider in FOREIGN_MODELS.items()
        ),
        # The provider does not have it.
        ModelRecord(model="gone", provider="openai", versions=priced),
    ]


async def publish_records(brokers: Brokers, prefix: str) -> Keys:
    """Everything that an edge reads before it serves."""
    keys = Keys(*(apikey.generate().text for _ in range(7)))
    plan = PlanVersion(plan_version=PLAN_VERSION, valid_from=LONG_AGO, multiplier_bps=10_000)
    key_records = {
        keys.good: KeyRecord(key_id="key-good", account_id=RICH, name="good", plan="standard", project_id="project-1"),
        keys.poor: KeyRecord(key_id="key-poor", account_id=POOR, name="poor", plan="standard"),
        keys.spent: KeyRecord(key_id="key-spent", account_id=SPENT, name="spent", plan="standard"),
        keys.expired: KeyRecord(key_id="key-old", account_id=RICH, name="old", plan="standard", expires_at=LONG_AGO),
        keys.limited: KeyRecord(key_id="key-one", account_id=RICH, name="one", plan="standard", models=("gpt-4o",)),
        keys.odd_plan: KeyRecord(key_id="key-odd", account_id=RICH, name="odd", plan="no-such-plan"),
        keys.revoked: KeyRecord(key_id="key-gone", account_id=RICH, name="gone", plan="standard"),
    }
    records: list[tuple[Topic, str, Event | None]] = [
        *((Topic.KEYS, apikey.hash_key(text), record) for text, record in key_records.items()),
        (Topic.KEYS, apikey.hash_key(keys.revoked), None),
        *((Topic.CATALOGUE, f"model:{model.model}", model) for model in models()),
        (Topic.CATALOGUE, "plan:standard", PlanRecord(plan="standard", versions=(plan,))),
        (Topic.BALANCES, RICH, balance(RICH, posted_nano=10**12)),
        (Topic.BALANCES, SPENT, balance(SPENT, posted_nano=500, held_nano=500)),
    ]
    await publish(brokers, prefix, records)
    return keys


def balance(account_id: str, *, posted_nano: int, held_nano: int = 0) -> BalanceRecord:
    return BalanceRecord(account_id=account_id, posted_nano=posted_nano, held_nano=held_nano, version=1, at=utc_now())


async def publish(brokers: Brokers, prefix: str, records: Sequence[tuple[Topic, str, Event | None]]) -> None:
    producer = create_producer(brokers)
    await producer.start()
    try:
        for topic, key, record in records:
            value = None if record is None else encode(record)
            await producer.send_and_wait(topic.named(prefix), value, key.encode())
    finally:
        await producer.stop()


@dataclass(frozen=True)
class RunningEdge:
    port: int
    process: subprocess.Popen[bytes]
    brokers: Brokers
    prefix: str
    keys: Keys
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> httpx.Response | None:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=2)
        except httpx.TransportError:
            return None

    def wait_ready(self) -> None:
        deadline = time.monotonic() + WITHIN_S
        while (response := self.ready()) is None or response.status_code != 200:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, (response and response.text, self.log.read_text())
            time.sleep(0.05)

    async def post(self, body: dict[str, Any]) -> httpx.Response:
        """Call a chat completion with the good key; the whole answer, stream or not."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=WITHIN_S) as client:
            headers = {"authorization": f"Bearer {self.keys.good}"}
            return await client.post("/v1/chat/completions", json=body, headers=headers)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    async def events(self, request_id: str) -> "RequestEvents":
        """What was recorded of a request, once it is closed."""
        return await self._closed_events(lambda request: request.request_id == request_id)

    async def events_of_user(self, end_user: str) -> "RequestEvents":
        """The same of the only request that named this user."""
        return await self._closed_events(lambda request: request.end_user == end_user)

    async def _closed_events(self, is_meant: Callable[[RequestDimensions], bool]) -> "RequestEvents":
        deadline = time.monotonic() + WITHIN_S
        while True:
            found = RequestEvents.of(is_meant, await read_events(self.brokers, self.prefix))
            if found.closed:
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)


@dataclass(frozen=True)
class RequestEvents:
    opened: list[RequestOpened]
    closed: list[RequestClosed]
    used: list[TokensUsed]

    @classmethod
    def of(cls, is_meant: Callable[[RequestDimensions], bool], recorded: Sequence[StampedEvent]) -> "RequestEvents":
        kinds = RequestOpened | RequestClosed | TokensUsed
        mine = [event for event in recorded if isinstance(event, kinds) and is_meant(event.request)]
        return cls(
            [event for event in mine if isinstance(event, RequestOpened)],
            [event for event in mine if isinstance(event, RequestClosed)],
            [event for event in mine if isinstance(event, TokensUsed)],
        )


async def read_events(brokers: Brokers, prefix: str) -> list[StampedEvent]:
    """Every event in both topics by now, in the order of each partition."""
    consumer = AIOKafkaConsumer(**brokers.options, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        names = {Topic.REQUESTS.named(prefix): decode_request, Topic.USAGE.named(prefix): decode_usage}
        partitions = [
            TopicPartition(name, number)
            for name in names
            for number in sorted(await consumer._client._wait_on_metadata(name))
        ]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        events: list[StampedEvent] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batches = await consumer.getmany(partition, timeout_ms=1000)
                events += [names[partition.topic](record.value) for records in batches.values() for record in records]
        return events
    finally:
        await consumer.stop()


def prepare(brokers: Brokers, prefix: str) -> Keys:
    """Topics and records, from a test that is not async."""

    async def prepare_all() -> Keys:
        await create_topics(brokers, prefix, partitions=2, replication=1)
        return await publish_records(brokers, prefix)

    return asyncio.run(prepare_all())


@contextmanager
def running_edge(
    brokers: Brokers, prefix: str, keys: Keys, provider_url: str, folder: Path, **settings: str
) -> Iterator[RunningEdge]:
    """An edge that is ready, with further `settings` for its environment (`max_body_bytes`)."""
    port = free_port()
    log = folder / f"edge-{port}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    own = {
        "kafka_bootstrap": brokers.bootstrap,
        "topic_prefix": prefix,
        "port": str(port),
        "openai_url": f"{provider_url}/v1",
        "openai_api_key": "sk-simulated",
        "anthropic_url": f"{provider_url}/v1",
        "anthropic_api_key": "sk-simulated",
        "gemini_url": f"{provider_url}/v1beta",
        "gemini_api_key": "sk-simulated",
        "spool_dir": str(folder / "spool"),
        "admission": "known_balances",
        **settings,
    }
    environment |= {f"TOLLGATE_{name.upper()}": value for name, value in own.items()}
    command = [sys.executable, "-m", "tollgate_edge.main"]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stderr=output) as process:
        edge = RunningEdge(port, process, brokers, prefix, keys, log)
        try:
            edge.wait_ready()
            yield edge
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(WITHIN_S)
                finally:
                    process.kill()
