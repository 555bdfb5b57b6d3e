"""Other protocols than OpenAI's, on either side of a real edge, called with the official SDKs."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, ToolParam
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from edge.running import FOREIGN_MODELS, PRICES, RunningEdge
from tollgate_common.events import Outcome, TokensUsed
from tollgate_common.rating import TokenCounts, rate

pytestmark = pytest.mark.live

QUESTION: list[MessageParam] = [{"role": "user", "content": "What flows past the harbor?"}]
CHAT: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What flows past the harbor?"}]
CLAUDE = "claude-sonnet-5-5"
MODELS = [*FOREIGN_MODELS, "gpt-4o"]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"where": {"type": "string"}}}
TOOL: ToolParam = {"name": "look", "input_schema": SCHEMA}
FUNCTION: ChatCompletionFunctionToolParam = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
async def claude(edge: RunningEdge) -> AsyncIterator[AsyncAnthropic]:
    """Anthropic's SDK, with nothing changed but where it calls and that it does not retry."""
    async with AsyncAnthropic(base_url=edge.url, api_key=edge.keys.good, max_retries=0) as client:
        yield client


async def used_by(edge: RunningEdge, request_id: str, endpoint: str) -> TokensUsed:
    events = await edge.events(request_id)
    (used,) = events.used
    assert (len(events.opened), events.closed[0].outcome, used.estimated) == (1, Outcome.COMPLETED, False)
    assert used.request.endpoint == endpoint
    assert used.request.provider == FOREIGN_MODELS.get(used.request.model, "openai")
    assert used.amount_nano == rate(used.tokens, PRICES).amount_nano
    return used


@pytest.mark.parametrize("model", MODELS)
async def test_message(edge: RunningEdge, claude: AsyncAnthropic, model: str) -> None:
    raw = await claude.messages.with_raw_response.create(
        model=model, max_tokens=1_000, messages=QUESTION, system="Be brief", metadata={"user_id": "user-7"}
    )
    message = await raw.parse()
    assert message.content[0].type == "text"
    assert message.stop_reason == "end_turn"
    used = await used_by(edge, raw.headers["x-request-id"], "/v1/messages")
    assert (used.tokens.prompt, used.tokens.completion) == (message.usage.input_tokens, message.usage.output_tokens)
    assert used.request.end_user == "user-7"
    assert used.request.client.startswith("anthropic-python/")


@pytest.mark.parametrize("model", MODELS)
async def test_message_stream(edge: RunningEdge, claude: AsyncAnthropic, model: str) -> None:
    async with claude.messages.stream(model=model, max_tokens=2_000, messages=QUESTION) as stream:
        texts = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert "".join(texts) == "".join(block.text for block in message.content if block.type == "text")
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    used = await used_by(edge, stream.response.headers["x-request-id"], "/v1/messages")
    assert used.tokens.completion == message.usage.output_tokens
    assert used.tokens.output == len(texts)
    assert used.finish_reason == "end_turn"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [True, False])
async def test_tool_use_and_tool_result(claude: AsyncAnthropic, model: str, stream: bool) -> None:
    common: dict[str, Any] = {"model": model, "max_tokens": 2_000, "tools": [TOOL]}
    if stream:
        async with claude.messages.stream(messages=QUESTION, tool_choice={"type": "any"}, **common) as streamed:
            message = await streamed.get_final_message()
    else:
        message = await claude.messages.create(messages=QUESTION, tool_choice={"type": "any"}, **common)
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert (call.name, call.input, message.stop_reason) == ("look", {"where": "river"}, "tool_use")
    called: Any = {"role": "assistant", "content": [call.model_dump()]}
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Boats"}],
    }
    answer = await claude.messages.create(
        messages=[*QUESTION, called, result],
        **common,
    )
    assert answer.content[0].type == "text"


async def test_cache_write_then_cache_read(edge: RunningEdge, claude: AsyncAnthropic) -> None:
    async def ask() -> TokensUsed:
        raw = await claude.messages.with_raw_response.create(
            model=CLAUDE,
            max_tokens=50,
            system=[{"type": "text", "text": "The river runs. " * 400, "cache_control": {"type": "ephemeral"}}],
            messages=QUESTION,
        )
        return await used_by(edge, raw.headers["x-request-id"], "/v1/messages")

    first, second = await ask(), await ask()
    assert first.tokens.cache_write == second.tokens.cached_input > 1_024
    assert first.tokens.cached_input == second.tokens.cache_write == 0


@pytest.mark.parametrize(("model", "key"), [(CLAUDE, "good"), (CLAUDE, "spent"), ("gemini-2.5-flash", "spent")])
async def test_count_tokens_is_free_and_recorded(edge: RunningEdge, model: str, key: str) -> None:
    """Whoever has spent all may count too. What Anthropic counts and what the edge counts agree with the usage."""
    api_key = getattr(edge.keys, key)
    async with AsyncAnthropic(base_url=edge.url, api_key=api_key, max_retries=0) as client:
        raw = await client.messages.with_raw_response.count_tokens(
            model=model, messages=QUESTION, system="Be brief", tools=[TOOL]
        )
    counted = (await raw.parse()).input_tokens
    events = await edge.events(raw.headers["x-request-id"])
    (closed,) = events.closed
    assert (len(events.opened), events.used, closed.outcome, closed.status) == (1, [], Outcome.COMPLETED, 200)
    assert closed.request.endpoint == "/v1/messages/count_tokens"
    async with AsyncAnthropic(base_url=edge.url, api_key=edge.keys.good, max_retries=0) as client:
        message = await client.messages.create(
            model=model, messages=QUESTION, system="Be brief", tools=[TOOL], max_tokens=9
        )
    assert message.usage.input_tokens == counted


async def test_version_and_metered_betas_are_forwarded(claude: AsyncAnthropic) -> None:
    async def ask(headers: dict[str, str], **fields: Any) -> anthropic.types.Message:
        return await claude.messages.create(
            model=CLAUDE, max_tokens=9, messages=QUESTION, extra_headers=headers, extra_body=fields
        )

    betas = {"anthropic-beta": "fast-mode-2026-02-01,context-management-2025-06-27"}
    assert (await ask(betas, context_management={"edits": []})).usage.output_tokens
    assert (await ask({"anthropic-version": "2023-06-01"}, temperature=0.5)).usage.output_tokens
    refusals: list[dict[str, Any]] = [{"context_management": {"edits": []}}, {"temperature": 0.5}]
    for refused in refusals:
        with pytest.raises(anthropic.BadRequestError, match="Extra inputs are not permitted"):
            await ask({}, **refused)


async def test_models_in_anthropic_format(edge: RunningEdge, claude: AsyncAnthropic) -> None:
    listed = [model async for model in claude.models.list()]
    assert {CLAUDE, "gpt-4o"} <= {model.id for model in listed}
    model = await claude.models.retrieve(CLAUDE)
    assert model in listed
    assert (model.type, model.display_name, model.max_input_tokens, model.max_tokens) == (
        "model",
        CLAUDE,
        200_000,
        64_000,
    )
    assert model.created_at.tzinfo is not None
    page = await claude.models.list()
    assert (page.has_more, page.first_id, page.last_id) == (False, listed[0].id, listed[-1].id)
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await claude.models.retrieve("no-such-model")
    assert isinstance(unknown.value.body, dict)
    assert unknown.value.body["error"]["type"] == "not_found_error"


async def test_anthropic_sdk_reads_request_id(edge: RunningEdge, claude: AsyncAnthropic) -> None:
    message = await claude.messages.create(model=CLAUDE, max_tokens=5, messages=QUESTION)
    assert message._request_id
    assert (await edge.events(message._request_id)).closed
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await claude.messages.create(model="no-such-model", max_tokens=5, messages=QUESTION)
    assert unknown.value.request_id == unknown.value.response.headers["x-request-id"]


async def test_errors_in_anthropic_format(edge: RunningEdge, claude: AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await claude.messages.create(model="no-such-model", max_tokens=5, messages=QUESTION)
    assert unknown.value.body == {
        "type": "error",
        "error": {
            "type": "not_found_error",
            "message": "The model `no-such-model` does not exist or you do not have access to it.",
            "param": "model",
            "code": "model_not_found",
        },
    }
    with pytest.raises(anthropic.AuthenticationError):
        await claude.with_options(api_key="tg_wrong").messages.create(model="gpt-4o", max_tokens=5, messages=QUESTION)
    poor = claude.with_options(api_key=edge.keys.spent)
    with pytest.raises(anthropic.APIStatusError) as spent:
        await poor.messages.create(model="gpt-4o", max_tokens=5, messages=QUESTION)
    assert spent.value.status_code == 402
    assert spent.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        await claude.messages.create(model=CLAUDE, messages=QUESTION, extra_body={"max_tokens": None}, max_tokens=1)


@pytest.mark.parametrize("model", FOREIGN_MODELS)
async def test_error_event_ends_started_stream(claude: AsyncAnthropic, model: str) -> None:
    broken: list[MessageParam] = [{"role": "user", "content": "Hi [simulate:error_mid_stream:3]"}]
    async with claude.messages.stream(model=model, max_tokens=2_000, messages=broken) as stream:
        with pytest.raises(anthropic.APIError):
            await stream.until_done()


@pytest.mark.parametrize("model", FOREIGN_MODELS)
async def test_chat_over_another_protocol(edge: RunningEdge, sdk: AsyncOpenAI, model: str) -> None:
    image: ChatCompletionMessageParam = {
        "role": "user",
        "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PIXEL}}],
    }
    raw = await sdk.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "system", "content": "Be brief"}, image], max_completion_tokens=2_000
    )
    completion = raw.parse()
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage
    used = await used_by(edge, raw.headers["x-request-id"], "/v1/chat/completions")
    assert used.tokens.prompt == completion.usage.prompt_tokens > 85
    assert used.tokens.completion == completion.usage.completion_tokens
    assert (used.tokens.reasoning > 0) == (model == "gemini-2.5-flash")
    assert used.request.served_model == model


@pytest.mark.parametrize("shows_usage", [True, False])
@pytest.mark.parametrize("model", FOREIGN_MODELS)
async def test_chat_stream_over_another_protocol(
    edge: RunningEdge, sdk: AsyncOpenAI, model: str, shows_usage: bool
) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": "Hi [simulate:tokens:40]"}],
        stream=True,
        stream_options={"include_usage": shows_usage},
    )
    chunks = [chunk async for chunk in raw.parse()]
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) == 40
    assert (chunks[-1].usage is not None) == shows_usage
    used = await used_by(edge, raw.headers["x-request-id"], "/v1/chat/completions")
    assert used.tokens.output == 40
    assert used.finish_reason == "stop"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", FOREIGN_MODELS)
async def test_tool_calls_over_another_protocol(sdk: AsyncOpenAI, model: str, stream: bool) -> None:
    if stream:
        async with sdk.chat.completions.stream(
            model=model, messages=CHAT, tools=[FUNCTION], tool_choice="required"
        ) as events:
            completion: Any = await events.get_final_completion()
    else:
        completion = await sdk.chat.completions.create(
            model=model, messages=CHAT, tools=[FUNCTION], tool_choice="required"
        )
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("look", '{"where":"river"}')
    answer = await sdk.chat.completions.create(
        model=model,
        tools=[FUNCTION],
        messages=[
            *CHAT,
            {"role": "assistant", "tool_calls": [call.model_dump(exclude={"parsed_arguments", "index"})]},
            {"role": "tool", "tool_call_id": call.id, "content": "Boats"},
        ],
    )
    assert answer.choices[0].message.content


@pytest.mark.parametrize("model", FOREIGN_MODELS)
async def test_json_schema_over_another_protocol(sdk: AsyncOpenAI, model: str) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    answer = await sdk.chat.completions.create(model=model, messages=CHAT, response_format=wanted)
    assert answer.choices[0].message.content == '{"where":"river"}'


async def test_several_choices_over_another_protocol(edge: RunningEdge, sdk: AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(
        model="gemini-2.5-flash", messages=CHAT, n=2, max_completion_tokens=500
    )
    assert len(raw.parse().choices) == 2
    assert (await used_by(edge, raw.headers["x-request-id"], "/v1/chat/completions")).tokens != TokenCounts()


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        # The edge has retried it already.
        ("error:500", (1, 1)),
        # The edge must not: the provider may be at work.
        ("close_before_answer", (3, 2)),
    ],
)
async def test_sdk_retries_are_separate_requests(
    edge: RunningEdge, sdk: AsyncOpenAI, claude: AsyncAnthropic, fault: str, requests: tuple[int, int]
) -> None:
    fails = f"Hi [simulate:{fault}]"
    with pytest.raises(openai.InternalServerError):
        await sdk.with_options(max_retries=2).chat.completions.create(
            model=CLAUDE, messages=[{"role": "user", "content": fails}], user=f"openai-{fault}"
        )
    with pytest.raises(anthropic.InternalServerError):
        await claude.with_options(max_retries=1).messages.create(
            model="gemini-2.5-flash",
            max_tokens=9,
            messages=[{"role": "user", "content": fails}],
            metadata={"user_id": f"anthropic-{fault}"},
        )
    assert len((await edge.events_of_user(f"openai-{fault}")).closed) == requests[0]
    assert len((await edge.events_of_user(f"anthropic-{fault}")).closed) == requests[1]
