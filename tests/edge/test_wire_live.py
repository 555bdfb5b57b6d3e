"""Errors and odd bytes of providers, through an edge: what the client gets, what is charged, how often it is tried."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from anthropic import AsyncAnthropic
from anthropic import InternalServerError as AnthropicServerError
from openai import AsyncOpenAI, InternalServerError

from edge.running import WITHIN_S, RequestEvents, RunningEdge, prepare, running_edge
from edge.scripted_provider import Script, ScriptedServer, scripted_provider
from engines import stores
from tollgate_common.events import Outcome
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.rating import TokenCounts
from tollgate_local.ports import free_port

pytestmark = pytest.mark.live

GPT, CLAUDE = "gpt-4o", "claude-sonnet-5-5"
BODY: dict[str, Any] = {"max_tokens": 50, "messages": [{"role": "user", "content": "What flows past?"}]}
USAGE = {"prompt_tokens": 20, "completion_tokens": 500, "total_tokens": 520}
TOKENS = TokenCounts(input=20, output=500)


def chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": choices} | more).encode() + b"\n\n"


EVENTS = [chunk({"content": "water"}), chunk({}, "stop", usage=USAGE), b"data: [DONE]\n\n"]
MESSAGE = {"role": "assistant", "content": "water"}
COMPLETION = {"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE}]}
WHOLE = json.dumps(COMPLETION | {"usage": USAGE}).encode()
OVERLOADED = json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}).encode()
LIMITED = json.dumps({"error": {"code": 429, "message": "Slow down"}}).encode()
JSON = "application/json"


class World(NamedTuple):
    """An edge with two targets for each model, whose providers are started by each test."""

    edge: RunningEdge
    ports: tuple[int, int]

    @asynccontextmanager
    async def providers(self, first: Script, second: Script) -> AsyncIterator[tuple[ScriptedServer, ScriptedServer]]:
        async with (
            scripted_provider(first, port=self.ports[0]) as one,
            scripted_provider(second, port=self.ports[1]) as two,
        ):
            yield one, two

    async def post(self, path: str, **body: Any) -> tuple[httpx.Response, RequestEvents]:
        headers = {"authorization": f"Bearer {self.edge.keys.good}"}
        async with httpx.AsyncClient(base_url=self.edge.url, trust_env=False, timeout=WITHIN_S) as client:
            response = await client.post(path, json=BODY | body, headers=headers)
        return response, await self.edge.events(response.headers["x-request-id"])


@pytest.fixture(scope="module")
def world(brokers: Brokers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    prefix, folder, ports = stores.unique_name(), tmp_path_factory.mktemp("wire"), (free_port(), free_port())
    keys = prepare(brokers, prefix)
    lines = ["providers:"]
    for name, protocol in (("openai", "openai"), ("anthropic", "anthropic")):
        for place, port in zip(("first", "second"), ports, strict=True):
            url = f"http://127.0.0.1:{port}/v1"
            lines.append(f"  {place}-{name}: {{protocol: {protocol}, base_url: {url!r}, keys: [{{env: HOME}}]}}")
    lines.append("models:")
    for model, name in ((GPT, "openai"), (CLAUDE, "anthropic")):
        targets = [f"{{provider: {place}-{name}, priority: {n}}}" for n, place in enumerate(("first", "second"))]
        lines.append(f"  {model}: {{targets: [{', '.join(targets)}]}}")
    # Each test finds both targets healthy.
    lines += ["breaker: {failures: 1000, open_s: 1}", "retries: {attempts: 2}"]
    file = folder / "gateway.yaml"
    file.write_text("\n".join(lines))
    try:
        with running_edge(brokers, prefix, keys, "http://127.0.0.1:9", folder, gateway_file=str(file)) as edge:
            yield World(edge, ports)
    finally:
        asyncio.run(stores.delete_topics(brokers, prefix))


def texts_of(response: httpx.Response) -> str:
    lines = [line.removeprefix("data:").strip() for line in response.text.split("\n") if line.startswith("data:")]
    data = [json.loads(line) for line in lines if line.startswith("{")]
    return "".join(choice["delta"].get("content", "") for one in data for choice in one["choices"])


def check_charged(events: RequestEvents, attempts: int = 1) -> None:
    (closed,), (used,) = events.closed, events.used
    assert (closed.outcome, closed.status, closed.attempts) == (Outcome.COMPLETED, 200, attempts)
    assert (used.tokens, used.estimated) == (TOKENS, False)


def check_refused(events: RequestEvents, status: int, attempts: int = 2) -> None:
    (closed,) = events.closed
    assert (closed.outcome, closed.status, closed.attempts) == (Outcome.REFUSED, status, attempts)
    assert not events.used


@pytest.mark.parametrize("error", [OVERLOADED, LIMITED])
async def test_stream_that_begins_with_an_error_is_served_by_another(world: World, error: bytes) -> None:
    bad = Script([b": PROCESSING\n\n", b"data: " + error + b"\n\n"], pause_s=0.05)
    async with world.providers(bad, Script(EVENTS)):
        response, events = await world.post("/v1/chat/completions", model=GPT, stream=True)
    assert (response.status_code, texts_of(response)) == (200, "water")
    check_charged(events, attempts=2)
    (failed,) = events.closed[0].failed_attempts
    assert failed.target == f"first-openai/{GPT}"
    assert failed.status in {429, 529}


async def test_whole_error_with_status_200_is_served_by_another(world: World) -> None:
    bad = json.dumps({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}).encode()
    async with world.providers(Script([bad], content_type=JSON), Script([WHOLE], content_type=JSON)):
        response, events = await world.post("/v1/chat/completions", model=GPT)
    assert response.content == WHOLE
    check_charged(events, attempts=2)


@pytest.mark.parametrize("stream", [True, False])
async def test_error_with_status_200_is_not_charged(world: World, stream: bool) -> None:
    bad = Script([b"data: " + LIMITED + b"\n\n"]) if stream else Script([LIMITED], content_type=JSON)
    async with world.providers(bad, bad):
        response, events = await world.post("/v1/chat/completions", model=GPT, stream=stream)
    assert response.status_code == 429
    assert response.json()["error"]["message"] == "Slow down"
    assert response.headers["x-should-retry"] == "false"
    check_refused(events, 429)


async def test_error_after_comments_ends_the_stream_for_free(world: World) -> None:
    bad = Script([b": PROCESSING\n\n", b"data: " + LIMITED + b"\n\n"], pause_s=0.05)
    async with world.providers(bad, bad):
        response, events = await world.post("/v1/chat/completions", model=GPT, stream=True)
    assert response.status_code == 200
    assert json.loads(response.text.strip().split("data: ")[-1])["error"]["message"] == "Slow down"
    assert events.closed[0].outcome == Outcome.BROKEN
    assert not events.used


@pytest.mark.parametrize("model", [GPT, CLAUDE])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("path", "status"), [("/v1/messages", 529), ("/v1/chat/completions", 503)])
async def test_overload(world: World, model: str, stream: bool, path: str, status: int) -> None:
    bad = Script([OVERLOADED], 529, content_type=JSON)
    async with world.providers(bad, bad):
        response, events = await world.post(path, model=model, stream=stream)
    assert response.status_code == status
    error = response.json()["error"]
    assert (error["type"], error["message"]) == ("overloaded_error", "Overloaded")
    check_refused(events, status)


async def test_sdks_do_not_multiply_attempts(world: World) -> None:
    bad = Script([OVERLOADED], 529, content_type=JSON)
    key, url = world.edge.keys.good, world.edge.url
    async with (
        world.providers(bad, bad) as (one, two),
        AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=2) as openai,
        AsyncAnthropic(base_url=url, api_key=key, max_retries=2) as anthropic,
    ):
        with pytest.raises(InternalServerError):
            await openai.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "Hi"}])
        with pytest.raises(AnthropicServerError) as caught:
            await anthropic.messages.create(model=CLAUDE, max_tokens=5, messages=[{"role": "user", "content": "Hi"}])
        assert caught.value.status_code == 529
        assert (len(one.requests), len(two.requests)) == (2, 2)


async def test_cloudflares_page_is_neither_final_nor_forwarded(world: World) -> None:
    page = Script([b"<html>error 524 at 10.0.0.7</html>"], 524, content_type="text/html")
    async with world.providers(page, Script([WHOLE], content_type=JSON)):
        response, events = await world.post("/v1/chat/completions", model=GPT)
        assert response.content == WHOLE
        check_charged(events, attempts=2)
    async with world.providers(page, page):
        response, events = await world.post("/v1/chat/completions", model=GPT)
        assert response.json()["error"]["message"] == "The provider responded with status 524."
        check_refused(events, 524)


WRITTEN = b"".join(EVENTS)
HALVES = chunk({"content": "\ud83d"}) + chunk({"content": "\ude00"}) + chunk({"content": "\ud83d"}, "stop", usage=USAGE)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (Script([WRITTEN.replace(b"\n", b"\r")]), "water"),
        (Script([b"\xef\xbb\xbf" + WRITTEN.replace(b"\n", b"\r\n")]), "water"),
        (Script([bytes([byte]) for byte in WRITTEN.replace(b"data: ", b"data:").replace(b"\n", b"\r\n")]), "water"),
        (Script([WRITTEN.replace(b', "', b',\ndata: "')]), "water"),
        (Script([HALVES, b"data: [DONE]\n\n"]), "\ud83d\ude00\ufffd"),
        (Script([gzip.compress(WRITTEN)], headers=[("content-encoding", "gzip")]), "water"),
    ],
    ids=["cr", "mark", "bytes", "lines", "halves", "gzip"],
)
async def test_odd_bytes_are_charged_as_stated(world: World, script: Script, text: str) -> None:
    async with world.providers(script, Script(EVENTS)):
        response, events = await world.post("/v1/chat/completions", model=GPT, stream=True)
    assert events.closed[0].target == f"first-openai/{GPT}"
    assert (response.status_code, texts_of(response)) == (200, text)
    assert "content-encoding" not in response.headers
    check_charged(events)


# The last one: both targets are avoided for a second after it.
async def test_sdk_retries_after_the_time_that_the_provider_asks_for(world: World) -> None:
    bad = Script([LIMITED], 429, [("retry-after", "1")], JSON)
    good = Script([WHOLE], content_type=JSON)
    key, url = world.edge.keys.good, world.edge.url
    async with (
        world.providers(bad, bad) as (one, two),
        AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=1) as openai,
    ):
        one.scripts = [bad, good]
        answer = await openai.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "Hi"}])
        assert answer.choices[0].message.content == "water"
        assert (len(one.requests), len(two.requests)) == (2, 1)
