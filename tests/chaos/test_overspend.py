"""One dollar, four edges, hundreds of requests at once: the account is never overspent, and the dollar is spent.

With no edge killed nothing is written off, whatever else dies. With an edge killed, no more than its leases held.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from chaos.spenders import ReconciliationSource, Spenders, read_books, report, settled, watching
from e2e.running import Tollgate, running_tollgate
from engines.own import OwnEngines, own_engines
from tollgate_common.money import NANO_PER_UNIT
from tollgate_common.postgres import connection as postgres
from tollgate_local.engines import EngineAddresses
from tollgate_local.supervisor import Patience, Supervisor
from tollgate_local.system import Service
from waiting import until

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(3600)]

# The long form is `make chaos`.
IS_LONG = os.environ.get("TOLLGATE_CHAOS") == "long"
REQUESTS = 500
REQUESTS_WITH_DEATHS, ROUNDS = (500, 5) if IS_LONG else (150, 1)
LATECOMERS = 100
EDGES = ("edge", "edge-2", "edge-3", "edge-4")
LEASE_S = 8
OUTAGE_S = 5.0


class World(NamedTuple):
    tollgate: Tollgate
    engines: OwnEngines


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("tollgate")
    more = [Service(name, program="edge") for name in EDGES[1:]]
    settings = {
        "TOLLGATE_LEASE_S": str(LEASE_S),
        "TOLLGATE_SESSION_TIMEOUT_S": "6",
        # Who waits in vain at the end, when the credit is spent, shall not wait for long.
        "TOLLGATE_CREDIT_WAIT_S": "4",
    }
    patience = Patience(first_delay_s=0.5, longest_delay_s=1, quick_deaths_allowed=None)
    async with (
        own_engines(folder / "engines", engines.clickhouse_url, outage_s=OUTAGE_S) as own,
        running_tollgate(own.addresses, folder / "system", more=more, settings=settings, patience=patience) as tollgate,
    ):
        yield World(tollgate, own)


@pytest.fixture
def tollgate(world: World) -> Tollgate:
    return world.tollgate


async def spend(
    tollgate: Tollgate, requests: int, strike: Callable[[], None] | None = None
) -> tuple[Spenders, ReconciliationSource, int]:
    """Let them spend a dollar; something strikes in the middle. With the books and how many boots were fenced.

    What a dead edge held cannot be spent before it is released, so that after a strike others come and spend the rest.
    """
    customer = await tollgate.sign_up(credit_usd="1")
    spenders = Spenders(tollgate, EDGES, customer, random.randrange(2**32), requests)
    account_id = await settled(tollgate, customer)
    before = await read_books(tollgate, account_id)
    with watching(tollgate.postgres_dsn("balance")) as watch:
        async with asyncio.TaskGroup() as group:
            group.create_task(spenders.run())
            if strike is not None:
                await asyncio.sleep(random.Random(spenders.seed).uniform(0.5, 3))
                strike()
        await settled(tollgate, customer)
        if strike is not None:
            latecomers = Spenders(tollgate, EDGES, customer, spenders.seed + 1, LATECOMERS)
            await latecomers.run()
            await settled(tollgate, customer)
            spenders.outcomes += latecomers.outcomes
    books = await read_books(tollgate, account_id)
    report(spenders, watch, books)
    assert books.used_nano - books.written_off_nano == NANO_PER_UNIT - books.posted_nano
    assert spenders.outcomes["served"] > 0
    assert spenders.outcomes["spent"] + spenders.outcomes["held"] > 0
    return spenders, books, books.fenced - before.fenced


def kill(supervisor: Supervisor, part: str, number: signal.Signals = signal.SIGKILL) -> None:
    pid = supervisor.pid(part)
    assert pid is not None
    os.kill(pid, number)


async def test_a_dollar_is_spent_once(tollgate: Tollgate) -> None:
    spenders, books, fenced = await spend(tollgate, REQUESTS)
    assert (books.written_off_nano, fenced) == (0, 0)
    assert books.posted_nano <= NANO_PER_UNIT // 20
    assert set(spenders.outcomes) <= {"served", "spent", "held", "cut off"}


async def test_reasoning_that_no_stream_shows_is_paid_for(tollgate: Tollgate) -> None:
    """Most of what these cost comes after their last text, and could not be paid for any more."""
    customer = await tollgate.sign_up(credit_usd="0.02")
    account_id = await settled(tollgate, customer)

    async def call(number: int) -> bool:
        body = {
            "model": "o4-mini",
            "messages": [{"role": "user", "content": f"Think of {number}"}],
            "metadata": {"simulate": "tokens:9"},
            "reasoning_effort": "high",
            "stream": True,
        }
        url = f"{tollgate.system.url(EDGES[number % len(EDGES)])}/v1/chat/completions"
        answer = await tollgate.http.post(url, json=body, headers=customer.with_key)
        assert answer.status_code in {HTTPStatus.OK, HTTPStatus.PAYMENT_REQUIRED}, answer.text
        return answer.is_success

    served = await asyncio.gather(*(call(number) for number in range(40)))
    await settled(tollgate, customer)
    books = await read_books(tollgate, account_id)
    assert any(served)
    assert not all(served)
    assert (books.written_off_nano, books.posted_nano) == (0, 20_000_000 - books.used_nano)


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_a_killed_edge_costs_no_more_than_it_held(tollgate: Tollgate, _round: int) -> None:
    before = await balance_metrics(tollgate)
    _, books, fenced = await spend(tollgate, REQUESTS_WITH_DEATHS, lambda: kill(tollgate.supervisor, EDGES[1]))
    metrics = {name: value - before[name] for name, value in (await balance_metrics(tollgate)).items()}
    assert fenced == metrics["boots_fenced"] >= 1
    assert books.written_off_nano == metrics["write_off_nano"] <= metrics["released_nano"] <= books.released_nano
    assert books.posted_nano <= NANO_PER_UNIT // 20


@pytest.mark.parametrize("_round", range(ROUNDS))
@pytest.mark.parametrize("struck", ["balance", "kafka", "postgres"])
async def test_whatever_else_dies_nothing_is_written_off(world: World, struck: str, _round: int) -> None:
    def strike() -> None:
        if struck == "balance":
            kill(world.tollgate.supervisor, struck)
        else:
            # PostgreSQL's immediate shutdown, after which it recovers as from a crash; killed, it would leave its
            # children behind, and they would not let a new one start.
            number = signal.SIGQUIT if struck == "postgres" else signal.SIGKILL
            kill(world.engines.supervisor, struck, number)

    _, books, fenced = await spend(world.tollgate, REQUESTS_WITH_DEATHS, strike)
    assert (books.written_off_nano, fenced) == (0, 0)
    assert books.posted_nano <= NANO_PER_UNIT // 20


async def balance_metrics(tollgate: Tollgate) -> dict[str, int]:
    text = (await tollgate.http.get(f"{tollgate.system.url('balance')}/metrics")).text
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }
    names = ("write_off_nano", "released_nano", "boots_fenced")
    return {name: int(samples[f"tollgate_balance_{name}_total"]) for name in names}


async def test_an_edge_that_was_frozen_goes_on_under_a_new_name(tollgate: Tollgate) -> None:
    """Longer than a lease lasts: its boot is fenced, and what it held is the others' again."""
    customer = await tollgate.sign_up(credit_usd="1")
    http, body = tollgate.http, {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    url = f"{tollgate.system.url(EDGES[2])}/v1/chat/completions"

    async def serves() -> bool:
        return (await http.post(url, json=body, headers=customer.with_key)).is_success

    async def fenced() -> bool:
        return (await balance_metrics(tollgate))["boots_fenced"] > before["boots_fenced"]

    await until(serves)
    before = await balance_metrics(tollgate)
    pid = tollgate.supervisor.pid(EDGES[2])
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(fenced)
    finally:
        os.kill(pid, signal.SIGCONT)
    await until(serves)
    await settled(tollgate, customer)
    balance = await tollgate.balance(customer)
    metrics = await balance_metrics(tollgate)
    assert metrics["write_off_nano"] == before["write_off_nano"]
    assert 0 < balance["posted_nano"] < NANO_PER_UNIT


async def test_no_reservation_outlives_its_request(tollgate: Tollgate) -> None:
    """However requests end, the edge closes its lease when it is idle, which it does only with nothing reserved."""
    customer = await tollgate.sign_up(credit_usd="1")
    before = await balance_metrics(tollgate)

    async def call(simulate: str, *, stream: bool, patience_s: float = 30) -> None:
        body = {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "hi"}],
            "metadata": {"simulate": simulate},
            "stream": stream,
        }
        with suppress(httpx.TransportError):
            url = f"{tollgate.base_url}/chat/completions"
            await tollgate.http.post(url, json=body, headers=customer.with_key, timeout=patience_s)

    for stream in (True, False):
        for simulate in ("tokens:9", "error:500", "error:400", "close_before_answer", "garbage", "no_usage"):
            await call(simulate, stream=stream)
    for simulate in ("die_mid_stream:3", "garbage_mid_stream:3", "error_mid_stream:3"):
        await call(simulate, stream=True)
    # The client leaves: in the middle of a stream, and before an answer.
    await call("slow_chunks:200,tokens:50", stream=True, patience_s=0.5)
    await call("slow_first_byte:1500", stream=False, patience_s=0.5)
    await settled(tollgate, customer)
    balance = await tollgate.balance(customer)
    assert 0 < balance["posted_nano"] < NANO_PER_UNIT
    assert await balance_metrics(tollgate) == before


@pytest.mark.parametrize(("tokens", "ending"), [(30, "data: [DONE]\n\n"), (5_000, "")])
async def test_a_stopped_edge_gives_its_leases_back(tollgate: Tollgate, tokens: int, ending: str) -> None:
    """A stream that ends in time is let end, one that does not is cut; either is paid for, and nothing stays held."""
    edge = EDGES[3]
    customer = await tollgate.sign_up(credit_usd="1")
    await settled(tollgate, customer)
    before = await tollgate.balance(customer)
    body = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"simulate": f"slow_chunks:50,tokens:{tokens}"},
        "stream": True,
    }
    url = f"{tollgate.system.url(edge)}/v1/chat/completions"
    pid = tollgate.supervisor.pid(edge)
    assert pid is not None
    text = ""
    with suppress(httpx.TransportError):
        async with tollgate.http.stream("POST", url, json=body, headers=customer.with_key) as answer:
            assert answer.is_success
            os.kill(pid, signal.SIGTERM)
            async for part in answer.aiter_text():
                text += part
    assert text.endswith(ending)

    async def has_ended() -> bool:
        return tollgate.supervisor.pid(edge) != pid

    await until(has_ended)
    async with await postgres.connect(tollgate.postgres_dsn("balance")) as connection:
        found = await connection.execute("SELECT state FROM leases WHERE account_id = %s", [before["account_id"]])
        assert {row["state"] for row in await found.fetchall()} == {"closed"}
    await settled(tollgate, customer)
    assert (await tollgate.balance(customer))["posted_nano"] < before["posted_nano"]
