import asyncio
import signal
from typing import Annotated

import httpx
import pytest
from fastapi import Body

from tollgate_common.errors import Problem
from tollgate_common.http import create_app, run_service


@pytest.fixture
def app_client() -> httpx.AsyncClient:
    waits: list[str] = ["its store"]
    app = create_app("test", ready=lambda: waits.pop() if waits else None)

    @app.post("/things")
    async def add(count: Annotated[int, Body(embed=True, ge=1)]) -> int:
        if count > 10:
            raise Problem(409, "too_many", "10 at most", field="count", headers={"Retry-After": "1"})
        return count

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_readiness_says_what_is_waited_for(app_client: httpx.AsyncClient) -> None:
    waiting = await app_client.get("/readyz")
    assert (waiting.status_code, waiting.json()["for"]) == (503, "its store")
    assert (await app_client.get("/readyz")).status_code == 200
    assert (await app_client.get("/healthz")).json() == {"status": "alive"}


async def test_problems_name_code_and_field(app_client: httpx.AsyncClient) -> None:
    answer = await app_client.post("/things", json={"count": 11})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "code": "too_many",
        "detail": "10 at most",
        "instance": "/things",
        "field": "count",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"{", "body"), (b'{"count": 0}', "count"), (b'{"count": "many"}', "count"), (b"{}", "count")],
)
async def test_bad_input_is_a_problem_too(app_client: httpx.AsyncClient, body: bytes, field: str) -> None:
    answer = await app_client.post("/things", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_input"
    assert answer.json()["field"] == field


async def test_an_unknown_path_is_a_problem(app_client: httpx.AsyncClient) -> None:
    answer = await app_client.get("/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_end_of_a_worker_is_the_end_of_the_service(unused_tcp_port: int) -> None:
    async def worker() -> None:
        await asyncio.sleep(0.05)

    app = create_app("test", ready=lambda: None)
    with pytest.raises(RuntimeError, match="returned while the service was running"):
        await run_service(app, "127.0.0.1", unused_tcp_port, worker())


async def test_a_worker_that_fails_ends_the_service_with_its_error(unused_tcp_port: int) -> None:
    async def worker() -> None:
        raise Problem(500, "broken", "the store is gone")

    app = create_app("test", ready=lambda: None)
    with pytest.raises(Problem, match="the store is gone"):
        await run_service(app, "127.0.0.1", unused_tcp_port, worker())


async def test_sigterm_stops_server_and_workers(unused_tcp_port: int) -> None:
    stopped = asyncio.Event()

    async def worker() -> None:
        await asyncio.sleep(0.1)
        signal.raise_signal(signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    await run_service(create_app("test", ready=lambda: None), "127.0.0.1", unused_tcp_port, worker())
    assert stopped.is_set()
