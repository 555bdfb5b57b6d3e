"""The contract as OpenAI's own SDK sees it."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tollgate_local.provider.tokens import count_tokens

pytestmark = [pytest.mark.live]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def complete(client: OpenAI, **fields: Any) -> ChatCompletion:
    arguments = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], **fields}
    answer = client.chat.completions.create(**arguments)
    assert isinstance(answer, ChatCompletion)
    return answer


def stream(client: OpenAI, **fields: Any) -> list[ChatCompletionChunk]:
    arguments = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "stream": True, **fields}
    answer = client.chat.completions.create(**arguments)
    assert isinstance(answer, Stream)
    with answer:
        return list(answer)


def test_an_answer_states_what_it_used(client: OpenAI) -> None:
    answer = complete(client)
    text = answer.choices[0].message.content
    assert text
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 8
    assert answer.usage.completion_tokens == count_tokens(text)
    assert answer.usage.total_tokens == 8 + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0
    assert answer.choices[0].finish_reason == "stop"


def test_a_stream_with_usage_says_in_each_chunk_that_it_comes(client: OpenAI) -> None:
    chunks = stream(client, stream_options={"include_usage": True})
    *earlier, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in earlier)
    assert earlier[0].choices[0].delta.role == "assistant"
    assert earlier[-1].choices[0].finish_reason == "stop"
    deltas = [chunk.choices[0].delta.content for chunk in earlier if chunk.choices[0].delta.content]
    assert len(deltas) == last.usage.completion_tokens == count_tokens("".join(deltas))


def test_a_stream_without_usage_does_not_mention_it(client: OpenAI) -> None:
    chunks = stream(client)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_carries_the_text_of_the_whole_answer(client: OpenAI) -> None:
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream(client))
    assert streamed == complete(client).choices[0].message.content


@pytest.mark.parametrize("parameter", [{"max_tokens": 5}, {"max_completion_tokens": 5}])
def test_a_limit_ends_the_answer(client: OpenAI, parameter: dict[str, int]) -> None:
    answer = complete(client, **parameter)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_an_exact_length_can_be_asked_for(client: OpenAI) -> None:
    answer = complete(client, metadata={"simulate": "tokens:500"})
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 500


def test_several_choices_stream_side_by_side(client: OpenAI) -> None:
    whole = complete(client, n=3)
    texts = ["", "", ""]
    tokens = 0
    for chunk in stream(client, n=3, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    assert texts == [choice.message.content for choice in whole.choices]
    assert tokens == sum(map(count_tokens, texts))


def test_a_required_tool_is_called(client: OpenAI) -> None:
    answer = complete(client, tools=[WEATHER], tool_choice="required")
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.name == "get_weather"
    assert json.loads(calls[0].function.arguments) == {"city": "river"}
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None


def test_a_tool_call_streams_in_pieces(client: OpenAI) -> None:
    chunks = stream(client, tools=[WEATHER], tool_choice="required", stream_options={"include_usage": True})
    parts = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    names = [part.function.name for part in parts if part.function and part.function.name]
    pieces = [part.function.arguments or "" for part in parts if part.function]
    assert names == ["get_weather"]
    assert json.loads("".join(pieces)) == {"city": "river"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == count_tokens("get_weather") + count_tokens("".join(pieces))


def test_json_is_answered_when_asked_for(client: OpenAI) -> None:
    answer = complete(client, response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def test_reasoning_models_state_their_reasoning(client: OpenAI) -> None:
    answer = complete(client, model="gpt-5-nano", metadata={"simulate": "tokens:10"})
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    reasoning = answer.usage.completion_tokens_details.reasoning_tokens
    assert reasoning
    assert answer.usage.completion_tokens == reasoning + 10


def test_a_long_prompt_is_cached_the_second_time(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "bridge " * 2_000}]
    cached = []
    for _ in range(2):
        usage = complete(client, messages=messages).usage
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        cached.append(usage.prompt_tokens_details.cached_tokens)
    assert cached == [0, 1_920]


def test_models_are_listed_and_shown(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"gpt-4o", "gpt-5", "o3", "text-embedding-3-small"} <= set(names)
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-none")


def test_embeddings_come_in_the_sdks_own_encoding(client: OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8)
    plain = client.embeddings.create(model="text-embedding-3-small", input="one", dimensions=8, encoding_format="float")
    assert answer.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert answer.usage.prompt_tokens == 2


@pytest.mark.parametrize(("given", "vectors", "tokens"), [([5, 6, 7], 1, 3), ([[5, 6], [7], [5, 6]], 3, 5)])
def test_embeddings_of_tokens(client: OpenAI, given: Any, vectors: int, tokens: int) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=given, dimensions=8)
    assert (len(answer.data), answer.usage.prompt_tokens) == (vectors, tokens)
    assert answer.data[0].embedding == answer.data[-1].embedding


def test_embeddings_of_mixed_input_are_rejected(client: OpenAI) -> None:
    mixed: Any = ["one", 5]
    with pytest.raises(openai.BadRequestError, match="either texts or tokens"):
        client.embeddings.create(model="text-embedding-3-small", input=mixed)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_an_error_is_the_sdks_own(client: OpenAI, status: int, error: type[openai.APIStatusError]) -> None:
    with pytest.raises(error) as raised:
        complete(client, metadata={"simulate": f"error:{status}"})
    assert raised.value.status_code == status
    assert isinstance(raised.value.body, dict)
    assert set(raised.value.body) == {"message", "type", "param", "code"}
    assert (raised.value.response.headers.get("retry-after") == "1") == (status == 429)


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        complete(client, model="gpt-none")
    assert raised.value.code == "model_not_found"


def test_chat_and_embedding_models_do_not_swap(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        complete(client, model="text-embedding-3-small")
    with pytest.raises(openai.PermissionDeniedError):
        client.embeddings.create(model="gpt-4o", input="one")


def test_a_wrong_key_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as raised:
        complete(client.with_options(api_key="sk-wrong"))
    assert raised.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/chat/completions", 405), ("POST", "/v1/nothing", 404)]
)
def test_a_wrong_address_gets_an_error_body(client: OpenAI, method: str, path: str, status: int) -> None:
    headers = {"authorization": f"Bearer {client.api_key}"}
    answer = httpx.request(method, str(client.base_url.copy_with(path=path)), headers=headers, trust_env=False)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_no_key_is_refused(client: OpenAI) -> None:
    answer = httpx.get(f"{client.base_url}models", trust_env=False)
    assert answer.status_code == 401
    assert "didn't provide an API key" in answer.json()["error"]["message"]


def test_a_stream_that_errs_raises_in_the_sdk(client: OpenAI) -> None:
    with pytest.raises(openai.APIError):
        stream(client, metadata={"simulate": "error_mid_stream:3"})


def test_unknown_behavior_is_explained(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="expected one of: slow_first_byte"):
        complete(client, metadata={"simulate": "explode"})
