"""The official SDKs of OpenAI and Anthropic at a running Tollgate: their own calls for each endpoint, and what the
usage API tells of them after."""

import asyncio
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam

from e2e.running import Customer, Tollgate
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NODE = Path(__file__).parent / "node"
CLAUDE, GEMINI = "claude-sonnet-5-5", "gemini-2.5-flash"
QUESTION: list[MessageParam] = [{"role": "user", "content": "Count to three"}]
TOOL: ToolParam = {"name": "look", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}}}


async def until_billed(tollgate: Tollgate, customer: Customer, tokens: dict[str, int]) -> None:
    """Waits until the usage API tells these totals by model, beside the calls that waited for the credit."""
    told: dict[str, Any] = {}

    async def matches() -> bool:
        told.update(await tollgate.usage(customer))
        totals: dict[str, int] = {}
        for row in told["data"]:
            totals[row["model"]] = totals.get(row["model"], 0) + row["total_tokens"]
        return tokens.items() <= totals.items()

    try:
        await until(matches)
    except TimeoutError:
        raise AssertionError(f"expected {tokens}, told {told}") from None


@pytest.mark.parametrize("model", [CLAUDE, GEMINI, "gpt-4o"])
async def test_anthropics_sdk(tollgate: Tollgate, model: str) -> None:
    customer = await tollgate.sign_up()
    total = 0
    async with anthropic.AsyncAnthropic(base_url=tollgate.system.url("edge"), api_key=customer.key) as client:
        whole = await client.messages.create(model=model, max_tokens=2_000, messages=QUESTION, tools=[TOOL])
        async with client.messages.stream(model=model, max_tokens=2_000, messages=QUESTION) as stream:
            text = await stream.get_final_text()
            streamed = await stream.get_final_message()
        called = await client.messages.create(
            model=model, max_tokens=2_000, messages=QUESTION, tools=[TOOL], tool_choice={"type": "tool", "name": "look"}
        )
    assert text
    assert any(block.type == "tool_use" for block in called.content)
    for usage in (whole.usage, streamed.usage, called.usage):
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        total += usage.input_tokens + cached + usage.output_tokens
    await until_billed(tollgate, customer, {model: total})


async def test_openais_sdk_for_other_endpoints(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    async with openai.AsyncOpenAI(base_url=tollgate.base_url, api_key=customer.key) as client:
        embedded = await client.embeddings.create(model="text-embedding-3-small", input=["river", "harbor"])
        responded = await client.responses.create(model="gpt-4.1", input="Count to three")
        answered = await client.chat.completions.create(
            model=GEMINI, messages=[{"role": "user", "content": "Count to three"}]
        )
        translated = await client.chat.completions.create(
            model=CLAUDE, messages=[{"role": "user", "content": "Count to three"}]
        )
        moderated = await client.moderations.create(input="river")
    assert [result.flagged for result in moderated.results] == [False]
    assert responded.usage is not None
    assert answered.usage is not None
    assert translated.usage is not None
    await until_billed(
        tollgate,
        customer,
        {
            "text-embedding-3-small": embedded.usage.total_tokens,
            "gpt-4.1": responded.usage.total_tokens,
            GEMINI: answered.usage.total_tokens,
            CLAUDE: translated.usage.total_tokens,
        },
    )


async def test_what_has_no_price_in_its_unit_is_not_sold(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    sound = io.BytesIO(bytes(8_000))
    sound.name = "sound.mp3"
    async with openai.AsyncOpenAI(base_url=tollgate.base_url, api_key=customer.key, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError):
            await client.audio.speech.create(model="gpt-4o", input="Hi", voice="alloy")
        with pytest.raises(openai.NotFoundError):
            await client.audio.transcriptions.create(model="no-such-model", file=sound)


async def test_openais_node_sdk(tollgate: Tollgate, node_modules: Path) -> None:
    customer = await tollgate.sign_up()
    process = await asyncio.create_subprocess_exec(
        "node",
        "endpoints.mjs",
        cwd=node_modules,
        env={**os.environ, "OPENAI_BASE_URL": tollgate.base_url, "OPENAI_API_KEY": customer.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    told = json.loads(output)
    assert told["embedding"]["length"] == 8
    assert told["response"]["text"]
    assert told["response"]["text"] == told["response"]["deltas"]
    assert told["tool"] == {"name": "look", "arguments": '{"where":"river"}'}
    await until_billed(
        tollgate,
        customer,
        {"text-embedding-3-small": told["embedding"]["tokens"], "gpt-4.1": told["response"]["tokens"]},
    )


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDK installed as the lock file says, and the script beside it."""
    folder = tmp_path_factory.mktemp("node")
    for file in ("package.json", "package-lock.json", "endpoints.mjs"):
        shutil.copy(NODE / file, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    return folder
