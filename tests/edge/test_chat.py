"""Answers through a real edge, a real Kafka and the simulated provider, called with OpenAI's SDK."""

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from edge.running import (
    FOREIGN_MODELS,
    PLAN_VERSION,
    PRICE_VERSION,
    PRICES,
    RICH,
    UNIT_PRICES,
    RequestEvents,
    RunningEdge,
)
from tollgate_common.events import Outcome
from tollgate_common.rating import TokenCounts, rate

pytestmark = pytest.mark.live

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What flows past the harbor?"}]


def check_consistent(events: RequestEvents) -> None:
    opened, closed, used = events.opened[0], events.closed[0], events.used[0]
    assert len(events.opened) == len(events.closed) == len(events.used) == 1
    assert used.request == closed.request
    assert opened.request.request_id == closed.request.request_id
    assert used.amount_nano == rate(used.tokens, PRICES).amount_nano
    assert (used.price_version, used.plan_version) == (PRICE_VERSION, PLAN_VERSION)
    assert used.outcome == closed.outcome


async def test_complete_response_is_metered(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES, user="user-7")
    completion = raw.parse()
    assert completion.choices[0].message.content
    assert completion.usage
    assert raw.headers["openai-processing-ms"].isdecimal()
    events = await edge.events(raw.headers["x-request-id"])
    check_consistent(events)
    used, closed = events.used[0], events.closed[0]
    assert used.tokens.prompt == completion.usage.prompt_tokens
    assert used.tokens.completion == completion.usage.completion_tokens
    assert not used.estimated
    request = used.request
    assert (request.account_id, request.key_id, request.project_id) == (RICH, "key-good", "project-1")
    assert (request.model, request.served_model, request.provider) == ("gpt-4o-mini", "gpt-4o-mini", "openai")
    assert (request.endpoint, request.stream, request.end_user) == ("/v1/chat/completions", False, "user-7")
    assert request.client.startswith("openai-python/")
    assert (closed.outcome, closed.status, closed.finish_reason) == (Outcome.COMPLETED, 200, "stop")
    assert closed.latency_ms >= 0


async def test_stream_is_metered_without_usage_unless_requested(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_body={"metadata": {"simulate": "tokens:40"}}
    )
    chunks = [chunk async for chunk in raw.parse()]
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)
    contents = [chunk.choices[0].delta.content for chunk in chunks]
    assert len(list(filter(None, contents))) == 40
    events = await edge.events(raw.headers["x-request-id"])
    check_consistent(events)
    assert events.used[0].tokens == TokenCounts(input=events.used[0].tokens.prompt, output=40)
    assert not events.used[0].estimated
    assert events.closed[0].first_token_ms is not None
    assert events.closed[0].request.stream


async def test_stream_has_usage_if_requested(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(
        model="o4-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in raw.parse()]
    assert all(chunk.usage is None for chunk in chunks)
    assert not last.choices
    assert last.usage
    assert last.usage.completion_tokens_details
    used = (await edge.events(raw.headers["x-request-id"])).used[0]
    assert used.tokens.prompt == last.usage.prompt_tokens
    assert used.tokens.completion == last.usage.completion_tokens
    assert used.tokens.reasoning == last.usage.completion_tokens_details.reasoning_tokens
    assert used.tokens.reasoning > 0


async def test_client_stream_options_are_kept(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": False}
    )
    assert all(chunk.usage is None for chunk in [chunk async for chunk in raw.parse()])
    events = await edge.events(raw.headers["x-request-id"])
    check_consistent(events)
    assert not events.used[0].estimated


async def test_choices_and_tool_calls_are_forwarded(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    tool: ChatCompletionFunctionToolParam = {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {"where": {"type": "string"}}}},
    }
    raw = await sdk.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=MESSAGES, tools=[tool], tool_choice="required", n=2
    )
    completion = raw.parse()
    assert [choice.finish_reason for choice in completion.choices] == ["tool_calls", "tool_calls"]
    events = await edge.events(raw.headers["x-request-id"])
    check_consistent(events)
    assert completion.usage
    assert events.used[0].tokens.completion == completion.usage.completion_tokens


async def test_cached_prompt_is_separate_class(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "The river runs past the harbor. " * 400}]
    await sdk.chat.completions.create(model="gpt-4o", messages=long)
    raw = await sdk.chat.completions.with_raw_response.create(model="gpt-4o", messages=long)
    usage = raw.parse().usage
    assert usage
    assert usage.prompt_tokens_details
    cached = usage.prompt_tokens_details.cached_tokens
    assert cached
    events = await edge.events(raw.headers["x-request-id"])
    check_consistent(events)
    assert events.used[0].tokens.cached_input == cached
    assert events.used[0].tokens.input == usage.prompt_tokens - cached


async def test_models_lists_callable_models(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    assert [model.id async for model in sdk.models.list()] == sorted(
        ["gone", "gpt-4o", "gpt-4o-mini", "o4-mini", *UNIT_PRICES, *FOREIGN_MODELS]
    )
    again = await sdk.get("/models/", cast_to=httpx.Response)
    assert [model["id"] for model in again.json()["data"]] == [model.id async for model in sdk.models.list()]
    raw = await sdk.models.with_raw_response.retrieve("gpt-4o")
    assert raw.parse().owned_by == "openai"
    assert raw.headers["x-request-id"]
    assert raw.headers["openai-processing-ms"].isdecimal()
    extra = raw.parse().model_extra
    assert extra is not None
    assert extra["capabilities"] == ["prompt_caching", "text"]
    assert (extra["context_length"], extra["max_output_tokens"]) == (None, None)
    described = (await sdk.models.retrieve("gemini-2.5-flash")).model_extra
    assert described is not None
    assert described["capabilities"] == ["prompt_caching", "text", "tools"]
    assert (described["context_length"], described["max_output_tokens"]) == (200_000, 64_000)
    assert (extra["pricing"]["input_nano"], extra["pricing"]["per"]) == (PRICES.input, 1_000_000)
    limited = sdk.with_options(api_key=edge.keys.limited)
    assert [model.id async for model in limited.models.list()] == ["gpt-4o"]
    with pytest.raises(NotFoundError) as caught:
        await limited.models.retrieve("gpt-4o-mini")
    assert caught.value.code == "model_not_found"
