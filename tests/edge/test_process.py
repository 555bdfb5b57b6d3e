"""The edge as a process: its start, its end, and its spool when Kafka is away."""

import asyncio
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, InternalServerError
from openai.types.chat import ChatCompletionMessageParam

from edge.running import WITHIN_S, RunningEdge, prepare, read_events, running_edge
from engines.own_kafka import OwnKafka, own_kafka
from engines.stores import unique_name
from local.provider.running import RunningProvider
from tollgate_common.events import EdgeHeartbeat, Outcome, RequestClosed, RequestOpened, TokensUsed
from tollgate_common.topics import Topic

pytestmark = [pytest.mark.live]

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What flows past the harbor?"}]
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnKafka]:
    with own_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


def slow(tokens: int, pause_ms: int, *, stream: bool = True) -> dict[str, Any]:
    return {**BODY, "stream": stream, "metadata": {"simulate": f"slow_chunks:{pause_ms},tokens:{tokens}"}}


async def check_all_is_recorded(kafka: OwnKafka, prefix: str, request_ids: list[str]) -> None:
    """Each of the requests is opened, used and closed, once if duplicates are dropped by their stamps."""
    events = {(type(event), event.stamp): event for event in await read_events(kafka.brokers, prefix)}
    for kind in (RequestOpened, RequestClosed, TokensUsed):
        found = Counter(event.request.request_id for event in events.values() if isinstance(event, kind))
        assert {request_id: found[request_id] for request_id in request_ids} == dict.fromkeys(request_ids, 1)


async def test_kafka_freezes_and_the_edge_is_killed(kafka: OwnKafka, provider: RunningProvider, tmp_path: Path) -> None:
    prefix = unique_name()
    keys = await asyncio.to_thread(prepare, kafka.brokers, prefix)
    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path, ack_timeout_s="0.5") as edge:
        request_ids = await answered(edge, 5)
        kafka.freeze()
        try:
            # The first waits for the time-out; all are answered.
            request_ids += await answered(edge, 20)
            edge.process.kill()
            edge.process.wait(WITHIN_S)
        finally:
            kafka.thaw()
    assert len(spools(tmp_path)) == 1
    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path) as successor:
        while len(spools(tmp_path)) > 1:
            assert successor.process.poll() is None
            await asyncio.sleep(0.05)
        request_ids += await answered(successor, 5)
        assert successor.stop() == 0
    assert spools(tmp_path) == []
    await check_all_is_recorded(kafka, prefix, request_ids)


async def answered(edge: RunningEdge, count: int) -> list[str]:
    """The ids of requests that were answered in full, half of them as streams."""
    bodies = [{**BODY, "stream": number % 2 == 0} for number in range(count)]
    responses = await asyncio.gather(*(edge.post(body) for body in bodies))
    for body, response in zip(bodies, responses, strict=True):
        assert response.status_code == 200, response.text
        assert not body["stream"] or response.text.endswith("data: [DONE]\n\n")
    return [response.headers["x-request-id"] for response in responses]


def spools(folder: Path) -> list[str]:
    return [path.name for path in (folder / "spool").iterdir()]


async def test_no_request_is_taken_that_cannot_be_recorded(
    kafka: OwnKafka, provider: RunningProvider, tmp_path: Path
) -> None:
    prefix = unique_name()
    keys = await asyncio.to_thread(prepare, kafka.brokers, prefix)
    limits = {"ack_timeout_s": "0.3", "spool_max_bytes": "4096"}
    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path, **limits) as edge:
        kafka.freeze()
        try:
            request_ids = await answered(edge, 10)
            async with AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=edge.keys.good, max_retries=0) as sdk:
                with pytest.raises(InternalServerError) as caught:
                    await sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES)
            assert caught.value.status_code == 503
            assert caught.value.code == "event_log_unavailable"
            assert caught.value.response.headers["retry-after"] == "5"
            ready = edge.ready()
            assert ready
            assert (ready.status_code, ready.json()["for"]) == (503, "its spool is full")
        finally:
            kafka.thaw()
        await asyncio.to_thread(edge.wait_ready)
        request_ids += await answered(edge, 5)
        assert edge.stop() == 0
    await check_all_is_recorded(kafka, prefix, request_ids)


async def test_a_stop_lets_streams_end(kafka: OwnKafka, provider: RunningProvider, tmp_path: Path) -> None:
    prefix = unique_name()
    keys = await asyncio.to_thread(prepare, kafka.brokers, prefix)
    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path) as edge:
        call = asyncio.create_task(edge.post(slow(tokens=40, pause_ms=50)))
        await wait_for_streams(provider, 1)
        edge.process.send_signal(signal.SIGTERM)
        response = await call
        assert response.text.endswith("data: [DONE]\n\n")
        assert await asyncio.to_thread(edge.process.wait, WITHIN_S) == 0
    await check_all_is_recorded(kafka, prefix, [response.headers["x-request-id"]])
    await check_last_heartbeat(kafka, prefix)
    assert spools(tmp_path) == []


async def test_a_stop_ends_what_takes_too_long(kafka: OwnKafka, provider: RunningProvider, tmp_path: Path) -> None:
    prefix = unique_name()
    keys = await asyncio.to_thread(prepare, kafka.brokers, prefix)
    with running_edge(kafka.brokers, prefix, keys, provider.url, tmp_path, drain_s="1") as edge:
        calls = [
            asyncio.create_task(edge.post(slow(tokens=1000, pause_ms=100))),
            asyncio.create_task(edge.post({**BODY, "metadata": {"simulate": "hang"}})),
        ]
        await wait_for_streams(provider, 2)
        edge.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*calls, return_exceptions=True)
        assert await asyncio.to_thread(edge.process.wait, WITHIN_S) == 0
    events = await read_events(kafka.brokers, prefix)
    closed = {event.request.stream: event for event in events if isinstance(event, RequestClosed)}
    assert {stream: event.outcome for stream, event in closed.items()} == {
        True: Outcome.BROKEN,
        False: Outcome.REFUSED,
    }
    (used,) = [event for event in events if isinstance(event, TokensUsed)]
    assert used.request == closed[True].request
    assert used.estimated
    assert 0 < used.tokens.output < 1000
    await check_last_heartbeat(kafka, prefix)


async def wait_for_streams(provider: RunningProvider, count: int) -> None:
    await asyncio.to_thread(provider.wait_for_stats, lambda stats: stats["in_flight"] >= count)


async def check_last_heartbeat(kafka: OwnKafka, prefix: str) -> None:
    """It tells of all that there is, but for itself."""
    events = await read_events(kafka.brokers, prefix)
    last = [event for event in events if isinstance(event, EdgeHeartbeat)][-1]
    found = Counter(
        (Topic.USAGE if isinstance(event, TokensUsed) else Topic.REQUESTS, event.stamp.partition) for event in events
    )
    found[Topic.REQUESTS, last.stamp.partition] -= 1
    told = {(Topic(topic), number): count for topic, counts in last.sent.items() for number, count in enumerate(counts)}
    assert told == {place: found[place] for place in told}


def run_main(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {f"TOLLGATE_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "tollgate_edge.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False)


GOOD = {
    "kafka_bootstrap": "127.0.0.1:9",
    "port": "8080",
    "openai_api_key": "sk-secret",
    "spool_dir": "/nowhere",
    "balance_url": "http://127.0.0.1:9",
    "internal_token": "sk-secret-of-32-characters-or-more",
}


def test_the_settings_can_be_checked() -> None:
    assert run_main("--check-config", **GOOD).stdout == "edge: the settings are valid\n"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("spool_dir", "", r"TOLLGATE_SPOOL_DIR \(durable folder .*\) is not set"),
        ("openai_api_key", "", r"TOLLGATE_OPENAI_API_KEY \(the operator's key for it\) is not set"),
        ("openai_url", "api.openai.com", r"TOLLGATE_OPENAI_URL .* is wrong: 'api.openai.com'"),
        ("max_body_bytes", "many", r"TOLLGATE_MAX_BODY_BYTES \(maximum size of a request body\) is wrong: 'many'"),
        ("admission", "hope", r"TOLLGATE_ADMISSION .* is wrong: 'hope': Input should be 'leases' or 'known_balances'"),
        (
            "balance_url",
            "",
            r"=leases needs TOLLGATE_BALANCE_URL and .*; without .* set TOLLGATE_ADMISSION=known_balances",
        ),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(name: str, value: str, told: str) -> None:
    ended = run_main(**{**GOOD, name: value})
    assert ended.returncode == 1
    assert re.search(told, ended.stderr)
    assert ended.stderr.count("\n") == 1
    assert "sk-secret" not in ended.stderr


def test_a_spool_folder_that_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    ended = run_main(**{**GOOD, "spool_dir": str(file / "spool")})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"edge: TOLLGATE_SPOOL_DIR: {tmp_path}")
    assert ended.stderr.count("\n") == 1
