"""The official OpenAI SDKs, pointed at the edge with nothing but a base URL and a key."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from e2e.running import Customer, Tollgate
from waiting import PATIENCE_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NODE = Path(__file__).parent / "node"
QUESTION: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Count to three"}]


def sdk(tollgate: Tollgate, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=tollgate.base_url, api_key=key, max_retries=0)


async def test_python_sdk_whole_and_streamed(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    async with sdk(tollgate, customer.key) as client:
        whole = await client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert whole.choices[0].message.content
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    customer.received.extend([whole.usage.model_dump(), chunks[-1].usage.model_dump()])
    await until_usage_matches(tollgate, customer)


async def test_usage_is_told_by_model_and_by_key(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    other = await tollgate.create_key(customer.session, "server")
    await tollgate.until_known(other["key"])
    async with sdk(tollgate, customer.key) as first, sdk(tollgate, other["key"]) as second:
        one = await first.chat.completions.create(model="gpt-4o", messages=QUESTION)
        two = await second.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
    assert one.usage is not None
    assert two.usage is not None
    customer.received.extend([one.usage.model_dump(), two.usage.model_dump()])
    usage = await until_usage_matches(tollgate, customer)
    rows = {(row["model"], row["api_key"]["id"]): row for row in usage["data"]}
    # The first call of all was the one that waited for the credit.
    assert rows.keys() == {
        ("gpt-4o-mini", customer.key_id),
        ("gpt-4o", customer.key_id),
        ("gpt-4o-mini", other["id"]),
    }
    assert rows["gpt-4o-mini", other["id"]]["api_key"]["name"] == "server"
    row = rows["gpt-4o", customer.key_id]
    assert (row["requests"], row["input_tokens"]) == (1, one.usage.prompt_tokens)
    # $2.50 and $10 for a million tokens, in nano-dollars.
    assert row["cost_nano"] == one.usage.prompt_tokens * 2_500 + one.usage.completion_tokens * 10_000


async def test_the_live_stream_goes_on_where_its_connection_ended(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    asked: list[str] = []

    async def ask() -> None:
        async with sdk(tollgate, customer.key) as client:
            raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
        asked.append(raw.headers["x-request-id"])

    async def told(events: AsyncIterator[dict[str, str]], count: int) -> list[dict[str, str]]:
        """The next events of what was asked; those of signing up may come late."""
        found: list[dict[str, str]] = []
        while len(found) < count:
            event = await anext(events)
            if json.loads(event["data"])["id"] in asked:
                found.append(event)
        return found

    async with live_events(tollgate, customer) as events:
        assert (await anext(events))["event"] == "totals"
        await ask()
        (first,) = await told(events, 1)
    # It was told of one event of two, and has left; more happens while nobody listens, and after.
    await ask()
    async with live_events(tollgate, customer, last_event_id=first["id"]) as events:
        assert json.loads((await anext(events))["data"]) == json.loads(first["data"])["totals"]
        found = [first, *await told(events, 3)]
        await ask()
        found += await told(events, 2)
    kinds = sorted((event["event"], json.loads(event["data"])["id"]) for event in found)
    assert kinds == sorted((kind, request_id) for kind in ("request", "usage") for request_id in asked)
    assert len({event["id"] for event in found}) == len(found)
    before, after = (json.loads(event["data"])["totals"] for event in (found[0], found[-1]))
    assert after["requests"] - before["requests"] == 3 - (first["event"] == "request")


@asynccontextmanager
async def live_events(
    tollgate: Tollgate, customer: Customer, last_event_id: str | None = None
) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """The fields of each event, as a browser's EventSource reads them."""
    headers = customer.with_key | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    url = f"{tollgate.system.url('analytics')}/v1/live"

    async def events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
        fields: dict[str, str] = {}
        async for line in lines:
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields
                fields = {}

    async with tollgate.http.stream("GET", url, headers=headers, timeout=PATIENCE_S) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response.aiter_lines())


async def test_the_balance_falls_by_what_usage_says_it_cost(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up(credit_usd="1")
    async with sdk(tollgate, customer.key) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert answer.usage is not None
    customer.received.append(answer.usage.model_dump())
    cost_nano = (await until_usage_matches(tollgate, customer))["total"]["cost_nano"]

    async def balance_fell() -> bool:
        return bool((await tollgate.balance(customer))["posted_nano"] == 1_000_000_000 - cost_nano)

    await until(balance_fell)


async def test_without_credit_the_edge_refuses(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up(credit_usd=None)
    async with sdk(tollgate, customer.key) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_quota")
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert (await tollgate.usage(customer))["total"]["cost_nano"] == 0


async def test_a_key_stops_at_its_budget_while_another_of_the_account_goes_on(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    budget = {"period": "day", "amount_nano": 100_000}
    thrifty = await tollgate.create_key(customer.session, "thrifty", budgets=[budget])
    await tollgate.until_known(thrifty["key"])

    async with sdk(tollgate, thrifty["key"]) as client:
        answered, refused = await ask_until_refused(client)
    async with sdk(tollgate, customer.key) as client:
        assert (await client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, max_tokens=20)).usage

    assert answered >= 1
    assert (refused.status_code, refused.code) == (402, "budget_exceeded")
    assert refused.response.headers["x-should-retry"] == "false"
    assert f"this API key (key:{thrifty['id']})" in str(refused)

    async def all_is_settled() -> bool:
        url, headers = f"{tollgate.system.url('balance')}/v1/budgets", {"Authorization": f"Bearer {thrifty['key']}"}
        [told] = (await tollgate.http.get(url, headers=headers)).json()["budgets"]
        return bool(0 < told["spent_nano"] <= told["amount_nano"] == budget["amount_nano"] and told["resets_at"])

    await until(all_is_settled)


async def ask_until_refused(client: openai.AsyncOpenAI) -> tuple[int, openai.APIStatusError]:
    """How many calls were answered, each of which costs some thousand nano-units, and what came then."""
    for answered in range(100):
        try:
            await client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, max_tokens=20)
        except openai.APIStatusError as error:
            return answered, error
    raise AssertionError("nothing is ever refused")


async def test_a_revoked_key_is_refused(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    url = f"{tollgate.system.url('accounts')}/v1/keys/{customer.key_id}"
    (await tollgate.http.delete(url, headers=customer.with_session)).raise_for_status()

    async def refused() -> bool:
        async with sdk(tollgate, customer.key) as client:
            try:
                await client.models.list()
            except openai.AuthenticationError as error:
                return error.code == "invalid_api_key"
        return False

    await until(refused)


async def test_one_customer_sees_nothing_of_another(tollgate: Tollgate) -> None:
    customer, other = await tollgate.sign_up(), await tollgate.sign_up()
    await until_usage_matches(tollgate, customer)
    usage = await until_usage_matches(tollgate, other)
    assert {row["api_key"]["id"] for row in usage["data"]} == {other.key_id}


async def test_node_sdk(tollgate: Tollgate, node_modules: Path) -> None:
    customer = await tollgate.sign_up()
    process = await asyncio.create_subprocess_exec(
        "node",
        "calls.mjs",
        cwd=node_modules,
        env={**os.environ, "OPENAI_BASE_URL": tollgate.base_url, "OPENAI_API_KEY": customer.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    answers = json.loads(output)
    assert answers["whole"]["text"]
    assert answers["streamed"]["text"]
    assert "gpt-4o-mini" in answers["models"]
    assert answers["errors"] == {
        "wrongKey": {"name": "AuthenticationError", "status": 401, "code": "invalid_api_key", "param": None},
        "noModel": {"name": "NotFoundError", "status": 404, "code": "model_not_found", "param": "model"},
        "noMessages": {
            "name": "BadRequestError",
            "status": 400,
            "code": "missing_required_parameter",
            "param": "messages",
        },
    }
    customer.received.extend([answers["whole"]["usage"], answers["streamed"]["usage"]])
    await until_usage_matches(tollgate, customer)


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDK installed as the lock file says, and the script beside it."""
    import subprocess

    folder = tmp_path_factory.mktemp("node")
    for file in ("package.json", "package-lock.json", "calls.mjs"):
        shutil.copy(NODE / file, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    return folder


async def until_usage_matches(tollgate: Tollgate, customer: Customer) -> dict[str, Any]:
    """Waits until the usage API tells exactly what the customer's answers told."""
    usage: dict[str, Any] = {}

    async def matches() -> bool:
        usage.update(await tollgate.usage(customer))
        total = usage["total"]
        return bool(
            total["requests"] == len(customer.received)
            and total["input_tokens"] + total["cached_input_tokens"] == customer.received_tokens("prompt_tokens")
            and total["total_tokens"] == customer.received_tokens("total_tokens")
        )

    try:
        await until(matches)
    except TimeoutError:
        raise AssertionError(f"received {customer.received}, usage {usage}") from None
    return usage
