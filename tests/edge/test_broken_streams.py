"""Streams that do not reach their end: who pays for what, and that each is closed all the same."""

import asyncio
import json
from collections.abc import AsyncIterable

import pytest
from openai import APIError, AsyncOpenAI, InternalServerError
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from edge.running import PRICES, RequestEvents, RunningEdge
from local.provider.running import RunningProvider
from tollgate_common.events import Outcome
from tollgate_common.rating import TokenCounts, rate
from tollgate_edge.usage.token_counting import count_prompt, count_text

pytestmark = pytest.mark.live

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What flows past the harbor?"}]
PROMPT_TOKENS = count_prompt(json.dumps({"messages": MESSAGES}).encode())


def check_closed(events: RequestEvents, outcome: Outcome, tokens: TokenCounts | None, *, estimated: bool) -> None:
    assert len(events.opened) == len(events.closed) == 1
    assert events.closed[0].outcome == outcome
    if tokens is None:
        assert not events.used
        return
    (used,) = events.used
    assert used.tokens == tokens
    assert used.estimated == estimated
    assert used.outcome == outcome
    assert used.amount_nano == rate(tokens, PRICES).amount_nano
    assert used.request == events.closed[0].request


async def broken_stream(sdk: AsyncOpenAI, behavior: str) -> tuple[str, list[str], APIError]:
    """A stream that ends with an error: its request's id, the texts that came, the error."""
    raw = await sdk.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=MESSAGES, stream=True, extra_body={"metadata": {"simulate": behavior}}
    )
    texts: list[str] = []
    with pytest.raises(APIError) as caught:
        await read_into(texts, raw.parse())
    return raw.headers["x-request-id"], texts, caught.value


async def read_into(texts: list[str], stream: AsyncIterable[ChatCompletionChunk], most: int = 10_000) -> None:
    async for chunk in stream:
        texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        if len(texts) == most:
            return


@pytest.mark.parametrize(
    "behavior", ["die_mid_stream:5", "stall_mid_stream:5", "garbage_mid_stream:5", "error_mid_stream:5"]
)
async def test_provider_fails_mid_stream(edge: RunningEdge, sdk: AsyncOpenAI, behavior: str) -> None:
    request_id, texts, error = await broken_stream(sdk, behavior)
    assert len(texts) == 5
    assert error.type == "server_error"
    events = await edge.events(request_id)
    check_closed(events, Outcome.BROKEN, TokenCounts(output=count_text("".join(texts))), estimated=True)
    assert events.closed[0].status == 200
    assert events.closed[0].error_code == error.code


async def test_provider_fails_before_the_first_token(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    request_id, texts, _ = await broken_stream(sdk, "die_mid_stream:0")
    assert texts == []
    check_closed(await edge.events(request_id), Outcome.BROKEN, None, estimated=False)


@pytest.mark.parametrize(("behavior", "status"), [("close_before_answer", 502), ("hang", 504), ("error:500", 500)])
async def test_provider_fails_before_the_stream(
    edge: RunningEdge, sdk: AsyncOpenAI, behavior: str, status: int
) -> None:
    with pytest.raises(InternalServerError) as caught:
        await sdk.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True, extra_body={"metadata": {"simulate": behavior}}
        )
    assert caught.value.status_code == status
    events = await edge.events(caught.value.response.headers["x-request-id"])
    check_closed(events, Outcome.REFUSED, None, estimated=False)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["no_usage", "wrong_usage:negative", "wrong_usage:huge"])
async def test_missing_or_impossible_usage_is_estimated(edge: RunningEdge, fault: str, stream: bool) -> None:
    body = {"model": "gpt-4o", "messages": MESSAGES, "stream": stream, "metadata": {"simulate": f"{fault},tokens:30"}}
    response = await edge.post(body)
    events = await edge.events(response.headers["x-request-id"])
    check_closed(events, Outcome.COMPLETED, TokenCounts(input=PROMPT_TOKENS, output=30), estimated=True)


@pytest.mark.parametrize("stream", [True, False])
async def test_cached_tokens_are_limited_to_prompt(edge: RunningEdge, stream: bool) -> None:
    simulate = {"simulate": "wrong_usage:cached,tokens:30"}
    body = {"model": "gpt-4o", "messages": MESSAGES, "stream": stream, "metadata": simulate}
    response = await edge.post(body)
    events = await edge.events(response.headers["x-request-id"])
    check_closed(events, Outcome.COMPLETED, TokenCounts(cached_input=PROMPT_TOKENS, output=30), estimated=False)


async def test_client_disconnects_mid_stream(edge: RunningEdge, sdk: AsyncOpenAI, provider: RunningProvider) -> None:
    before = provider.stats()["streams_cancelled"]
    raw = await sdk.chat.completions.with_raw_response.create(
        model="gpt-4o",
        messages=MESSAGES,
        stream=True,
        extra_body={"metadata": {"simulate": "slow_chunks:30,tokens:1000"}},
    )
    stream = raw.parse()
    texts: list[str] = []
    await read_into(texts, stream, most=10)
    await stream.close()
    events = await edge.events(raw.headers["x-request-id"])
    # The provider was told to stop, long before its 30 s were over.
    await asyncio.to_thread(provider.wait_for_stats, lambda stats: stats["streams_cancelled"] == before + 1)
    output = events.used[0].tokens.output
    check_closed(events, Outcome.CANCELLED, TokenCounts(input=PROMPT_TOKENS, output=output), estimated=True)
    assert len(texts) <= output < 500
    assert events.closed[0].status == 200


async def test_client_disconnects_before_stream(edge: RunningEdge, sdk: AsyncOpenAI, provider: RunningProvider) -> None:
    before = provider.stats()["streams_cancelled"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await sdk.chat.completions.create(
                model="gpt-4o",
                messages=MESSAGES,
                stream=True,
                user="left-early",
                extra_body={"metadata": {"simulate": "slow_first_byte:1000,slow_chunks:30,tokens:1000"}},
            )
    events = await edge.events_of_user("left-early")
    await asyncio.to_thread(provider.wait_for_stats, lambda stats: stats["streams_cancelled"] == before + 1)
    check_closed(events, Outcome.CANCELLED, TokenCounts(input=PROMPT_TOKENS), estimated=True)


async def test_client_disconnects_during_complete_response(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await sdk.chat.completions.create(
                model="gpt-4o",
                messages=MESSAGES,
                user="left-whole",
                extra_body={"metadata": {"simulate": "slow_first_byte:1000,tokens:30"}},
            )
    events = await edge.events_of_user("left-whole")
    # The provider has made it to the end, and said what it used.
    check_closed(events, Outcome.CANCELLED, TokenCounts(input=PROMPT_TOKENS, output=30), estimated=False)
