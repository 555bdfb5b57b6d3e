"""A gateway with routes of its own, limited keys and several workers, as processes over a real Kafka."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, PermissionDeniedError, RateLimitError

from edge.running import RICH, WITHIN_S, RunningEdge, prepare, publish, read_events, running_edge
from engines.stores import delete_topics, unique_name
from local.provider.running import RunningProvider, running_provider
from tollgate_common.auth import api_key as apikey
from tollgate_common.events import KeyLimits, KeyRecord, RequestClosed
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.topics import Topic
from tollgate_local.engines import EngineAddresses
from tollgate_local.ports import free_port
from waiting import until

pytestmark = pytest.mark.live

BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What flows past?"}]}
KEY_LIMITS = {
    "limited": KeyLimits(requests_per_minute=2, tokens_per_minute=100_000),
    "tiny": KeyLimits(max_body_bytes=100),
}


class World:
    """Topics of its own, and further keys."""

    def __init__(self, engines: EngineAddresses, provider: RunningProvider, folder: Path) -> None:
        self.brokers = Brokers(engines.kafka_bootstrap)
        self.prefix = unique_name()
        self.provider = provider
        self.folder = folder
        self.keys = prepare(self.brokers, self.prefix)
        self.own_keys = {name: apikey.generate().text for name in (*KEY_LIMITS, "suspended", "office")}
        asyncio.run(publish(self.brokers, self.prefix, [self._record(name) for name in self.own_keys]))
        self.file = folder / "gateway.yaml"

    def _record(self, name: str) -> tuple[Topic, str, KeyRecord]:
        record = KeyRecord(
            key_id=f"key-{name}",
            account_id=RICH,
            name=name,
            plan="standard",
            limits=KEY_LIMITS.get(name, KeyLimits()),
            suspended=name == "suspended",
            allowed_ips=("203.0.113.0/24",) if name == "office" else None,
        )
        return Topic.KEYS, apikey.hash_key(self.own_keys[name]), record

    def write_routes(self, upstream_model: str = "gpt-4o-mini", more: str = "") -> None:
        """The first target refuses connections, the second answers."""
        self.file.write_text(f"""
providers:
  openai: {{protocol: openai, base_url: "http://127.0.0.1:{free_port()}/v1", keys: [{{env: PATH}}]}}
  spare: {{protocol: openai, base_url: "{self.provider.url}/v1", keys: [{{env: PATH}}, {{env: HOME}}]}}
models:
  gpt-4o:
    aliases: [newest]
    targets:
      - {{provider: openai}}
      - {{provider: spare, model: {upstream_model}, priority: 1}}
{more}""")

    async def completed(self, edge: RunningEdge, **changes: Any) -> RequestClosed:
        response = await edge.post({**BODY, **changes})
        assert response.status_code == 200, response.text
        return (await edge.events(response.headers["x-request-id"])).closed[0]


@pytest.fixture(scope="module")
def world(
    engines: EngineAddresses, provider: RunningProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    world = World(engines, provider, tmp_path_factory.mktemp("routing"))
    try:
        yield world
    finally:
        asyncio.run(delete_topics(world.brokers, world.prefix))


@pytest.fixture(scope="module")
def routed(world: World) -> Iterator[RunningEdge]:
    world.write_routes()
    with running_edge(
        world.brokers,
        world.prefix,
        world.keys,
        world.provider.url,
        world.folder,
        gateway_file=str(world.file),
        trusted_proxies="127.0.0.0/8",
    ) as edge:
        yield edge


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    """It takes any key, so that there can be two."""
    with running_provider() as running:
        yield running


async def test_fallback_serves_and_failed_attempt_is_recorded(world: World, routed: RunningEdge) -> None:
    closed = await world.completed(routed)
    assert closed.target in {"spare/gpt-4o-mini", "spare#2/gpt-4o-mini"}
    assert closed.attempts == 2
    (failed,) = closed.failed_attempts
    assert (failed.target, failed.provider, failed.status) == ("openai/gpt-4o", "openai", None)
    assert (closed.request.model, closed.request.served_model) == ("gpt-4o", "gpt-4o-mini")


async def test_stream_fallback_and_alias(world: World, routed: RunningEdge) -> None:
    closed = await world.completed(routed, model="newest", stream=True)
    assert closed.request.model == "gpt-4o"
    assert closed.target.startswith("spare")


async def test_metrics_count_requests_and_attempts(world: World, routed: RunningEdge) -> None:
    before = metrics_of(routed)
    closed = await world.completed(routed)
    assert (await routed.post({**BODY, "model": "no-such-model"})).status_code == 404
    after = metrics_of(routed)
    grown = {name for name, value in after.items() if value > before.get(name, 0)}
    chat = '{endpoint="/v1/chat/completions"'
    assert {f'tollgate_edge_requests_total{chat},status="{status}"}}' for status in (200, 404)} <= grown
    served = f'provider="spare",result="served",target="{closed.target}"'
    failed = 'provider="openai",result="provider_error",target="openai/gpt-4o"'
    assert {f"tollgate_edge_provider_attempts_total{{{labels}}}" for labels in (served, failed)} <= grown
    assert after["tollgate_edge_requests_in_flight"] == 0


def metrics_of(edge: RunningEdge) -> dict[str, float]:
    text = httpx.get(f"{edge.url}/metrics", trust_env=False).text
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}


async def test_model_without_route_uses_catalog_provider(world: World, routed: RunningEdge) -> None:
    response = await routed.post({**BODY, "model": "o4-mini"})
    assert response.status_code == 502
    closed = (await routed.events(response.headers["x-request-id"])).closed[0]
    assert (closed.target, closed.attempts, len(closed.failed_attempts)) == ("openai/o4-mini", 3, 3)


async def test_reload_does_not_drop_stream(world: World, routed: RunningEdge) -> None:
    slow = {"metadata": {"simulate": "slow_chunks:50,tokens:60"}, "stream": True}
    streaming = asyncio.create_task(world.completed(routed, **slow))
    await asyncio.to_thread(world.provider.wait_for_stats, lambda stats: stats["in_flight"] >= 1)
    world.write_routes("o4-mini")
    await until_served_by(world, routed, "o4-mini")
    assert not streaming.done(), "the stream was to outlast the change"
    assert (await streaming).target.endswith("/gpt-4o-mini")


async def test_invalid_file_keeps_routes_and_is_logged(world: World, routed: RunningEdge) -> None:
    world.write_routes("o4-mini", more="modles: {}")
    routed.process.send_signal(signal.SIGHUP)
    await until(lambda: "modles: unknown field" in routed.log.read_text())
    assert (await world.completed(routed)).target.endswith("/o4-mini")
    world.write_routes("gpt-4o-mini")
    await until_served_by(world, routed, "gpt-4o-mini")


async def until_served_by(world: World, edge: RunningEdge, model: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not (await world.completed(edge)).target.endswith(f"/{model}"):
            pass


def sdk_of(world: World, edge: RunningEdge, name: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=world.own_keys[name], max_retries=0)


async def test_rate_limit_error_in_sdk(world: World, routed: RunningEdge) -> None:
    async with sdk_of(world, routed, "limited") as sdk:
        first = await sdk.chat.completions.with_raw_response.create(**BODY)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert first.headers["x-ratelimit-reset-requests"].endswith("s")
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 100_000
        stream = await sdk.chat.completions.create(**BODY, stream=True)
        assert [chunk async for chunk in stream]
        with pytest.raises(RateLimitError) as caught:
            await sdk.chat.completions.create(**BODY)
    assert caught.value.code == "rate_limit_exceeded"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 30
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    request_id = caught.value.response.headers["x-request-id"]
    recorded = await read_events(world.brokers, world.prefix)
    assert not any(getattr(event, "request", None) and event.request.request_id == request_id for event in recorded)  # type: ignore[attr-defined]


async def test_suspended_key_is_rejected(world: World, routed: RunningEdge) -> None:
    async with sdk_of(world, routed, "suspended") as sdk:
        with pytest.raises(PermissionDeniedError) as caught:
            await sdk.chat.completions.create(**BODY)
        assert caught.value.code == "account_suspended"
        with pytest.raises(PermissionDeniedError):
            await sdk.models.list()


async def test_key_is_rejected_outside_allowed_ips(world: World, routed: RunningEdge) -> None:
    async with sdk_of(world, routed, "office") as sdk:
        for forwarded, is_allowed in (("203.0.113.9", True), ("203.0.113.9, 198.51.100.1", False), (None, False)):
            call = sdk.chat.completions.create(
                **BODY, extra_headers={"x-forwarded-for": forwarded} if forwarded else {}
            )
            if is_allowed:
                await call
            else:
                with pytest.raises(PermissionDeniedError) as caught:
                    await call
                assert caught.value.code == "ip_not_allowed"


async def test_body_limit_of_key(world: World, routed: RunningEdge) -> None:
    async with httpx.AsyncClient(base_url=routed.url, trust_env=False) as client:
        headers = {"authorization": f"Bearer {world.own_keys['tiny']}"}
        response = await client.post("/v1/chat/completions", json={**BODY, "user": "u" * 100}, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
