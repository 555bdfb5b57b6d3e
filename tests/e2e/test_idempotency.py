"""`Idempotency-Key` over two edges of a whole system: one answer and one charge, whatever is killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from e2e.running import Customer, Tollgate, running_tollgate
from engines.stores import unique_name
from tollgate_local.engines import EngineAddresses
from tollgate_local.system import Service
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

EDGES = ("edge", "edge-2")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tollgate(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    folder = tmp_path_factory.mktemp("tollgate")
    settings = {"TOLLGATE_LEASE_S": "4"}
    async with running_tollgate(
        engines, folder, more=(Service("edge-2", program="edge"),), settings=settings
    ) as tollgate:
        yield tollgate


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customer(tollgate: Tollgate) -> Customer:
    customer = await tollgate.sign_up()
    for edge in EDGES:
        url = f"{tollgate.system.url(edge)}/v1/models"

        async def known(url: str = url) -> bool:
            return (await tollgate.http.get(url, headers=customer.with_key)).is_success

        await until(known)
    return customer


def question(*, stream: bool = False, simulate: str = "", content: str = "Count to three") -> dict[str, Any]:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}], "stream": stream}
    return body | ({"metadata": {"simulate": simulate}} if simulate else {})


async def ask(
    tollgate: Tollgate, customer: Customer, edge: str, idempotency_key: str, body: dict[str, Any]
) -> httpx.Response:
    headers = {**customer.with_key, "idempotency-key": idempotency_key}
    return await tollgate.http.post(
        f"{tollgate.system.url(edge)}/v1/chat/completions", json=body, headers=headers, timeout=60
    )


async def charged(tollgate: Tollgate, customer: Customer, more: int, since: int) -> None:
    """Exactly so many requests more are charged than were; a later one would show in the next test's count."""

    async def counted() -> bool:
        return bool((await tollgate.usage(customer))["total"]["requests"] == since + more)

    await until(counted)


async def requests_so_far(tollgate: Tollgate, customer: Customer) -> int:
    """Once nothing more arrives."""
    count = -1
    while count != (count := (await tollgate.usage(customer))["total"]["requests"]):
        await asyncio.sleep(1)
    return count


@pytest.mark.parametrize("stream", [False, True])
async def test_many_at_once_on_two_edges_are_one_answer_and_one_charge(
    tollgate: Tollgate, customer: Customer, stream: bool
) -> None:
    before, key = await requests_so_far(tollgate, customer), unique_name()
    body = question(stream=stream, simulate="slow_chunks:20,tokens:20")
    responses = await asyncio.gather(*(ask(tollgate, customer, EDGES[n % 2], key, body) for n in range(10)))
    assert [response.status_code for response in responses] == [200] * 10
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["content-type"] for response in responses}) == 1
    replayed = [response for response in responses if "idempotent-replayed" in response.headers]
    assert len(replayed) == 9
    (first,) = [response for response in responses if response not in replayed]
    assert {one.headers["x-original-request-id"] for one in replayed} == {first.headers["x-request-id"]}
    assert first.content.endswith(b"data: [DONE]\n\n") == stream
    late = await ask(tollgate, customer, EDGES[1], key, body)
    assert late.content == first.content
    await charged(tollgate, customer, 1, before)


async def test_another_question_under_the_same_key_is_refused(tollgate: Tollgate, customer: Customer) -> None:
    key = unique_name()
    assert (await ask(tollgate, customer, "edge", key, question())).status_code == 200
    other = await ask(tollgate, customer, "edge-2", key, question(content="Count to four"))
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_a_form_is_the_same_whatever_its_boundary(tollgate: Tollgate, customer: Customer) -> None:
    """As an SDK sends it again."""
    headers = {**customer.with_key, "idempotency-key": unique_name()}
    first, again = [
        await tollgate.http.post(
            f"{tollgate.base_url}/audio/transcriptions",
            headers=headers,
            data={"model": "whisper-1"},
            files={"file": ("a.mp3", b"x" * 9_000)},
        )
        for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


async def test_another_key_of_the_account_pays_nothing_and_sees_nothing(tollgate: Tollgate, customer: Customer) -> None:
    second = await tollgate.create_key(customer.session, "second")
    await tollgate.until_known(second["key"])
    key = unique_name()
    assert (await ask(tollgate, customer, "edge", key, question())).status_code == 200
    response = await tollgate.http.post(
        f"{tollgate.base_url}/chat/completions",
        json=question(),
        headers={"Authorization": f"Bearer {second['key']}", "idempotency-key": key},
    )
    # The fingerprint is the first API key's: to others the request is simply another one.
    assert (response.status_code, response.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_what_was_refused_and_not_charged_may_be_tried_again(tollgate: Tollgate, customer: Customer) -> None:
    key = unique_name()
    refused = await ask(tollgate, customer, "edge", key, question(simulate="error:400"))
    assert refused.status_code == 400

    async def is_free() -> bool:
        return (await ask(tollgate, customer, "edge-2", key, question())).status_code == 200

    await until(is_free)


async def test_a_stream_that_its_client_left_is_repeated_as_far_as_it_was_paid(
    tollgate: Tollgate, customer: Customer
) -> None:
    before, key = await requests_so_far(tollgate, customer), unique_name()
    body = question(stream=True, simulate="slow_chunks:50,tokens:100")
    headers = {**customer.with_key, "idempotency-key": key}
    url = f"{tollgate.system.url('edge')}/v1/chat/completions"
    async with tollgate.http.stream("POST", url, json=body, headers=headers) as response:
        seen = await anext(response.aiter_bytes())
    repeated = await ask(tollgate, customer, "edge-2", key, body)
    assert repeated.status_code == 200
    assert repeated.content.startswith(seen)
    assert b"[DONE]" not in repeated.content
    await charged(tollgate, customer, 1, before)


async def test_an_edge_is_killed_in_the_middle(tollgate: Tollgate, customer: Customer) -> None:
    before, key = await requests_so_far(tollgate, customer), unique_name()
    body = question(simulate="slow_chunks:50,tokens:60", stream=True)
    first = asyncio.create_task(ask(tollgate, customer, "edge-2", key, body))

    async def is_running() -> bool:
        stats = await tollgate.http.get(f"{tollgate.system.url('provider')}/simulator/stats")
        return bool(stats.json()["in_flight"] >= 1)

    await until(is_running)
    waiting = asyncio.create_task(ask(tollgate, customer, "edge", key, body))
    pid = tollgate.supervisor.pid("edge-2")
    assert pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(httpx.TransportError):
        await first
    # The claim is free once the balance service has declared the edge dead.
    answer = await waiting
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "idempotent-replayed" not in answer.headers
    again = await ask(tollgate, customer, "edge", key, body)
    assert again.content == answer.content
    await charged(tollgate, customer, 1, before)
