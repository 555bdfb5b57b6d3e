import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.generation import Generation, generate
from tollgate_local.provider.prefix_cache import PrefixCache
from tollgate_local.provider.prose import passage
from tollgate_local.provider.request import parse_chat
from tollgate_local.provider.tokens import count_tokens

USER = {"role": "user", "content": "xylophone quixotic zebra"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer"}},
        },
    },
}


def generated(tokens: int | None = None, prefixes: PrefixCache | None = None, **fields: Any) -> Generation:
    request, model = parse_chat(msgspec.json.encode({"model": "gpt-4o", "messages": [USER], **fields}))
    return generate(request, model, prefixes or PrefixCache(), tokens)


@given(seed=st.integers(0, 2**64), tokens=st.integers(1, 9_000))
def test_a_passage_has_the_tokens_that_were_asked_for(seed: int, tokens: int) -> None:
    pieces = passage(seed, tokens)
    assert len(pieces) == tokens == count_tokens("".join(pieces))


@given(seed=st.integers(0, 2**64))
def test_a_natural_passage_ends_with_a_sentence(seed: int) -> None:
    pieces = passage(seed)
    assert 14 <= len(pieces) <= 170
    assert pieces[-1] == "."
    assert count_tokens("".join(pieces)) == len(pieces)


def test_the_same_request_gets_the_same_text() -> None:
    first, second = generated(seed=1), generated(seed=1)
    assert first.choices == second.choices
    assert first.id != second.id
    assert generated(seed=2).choices != first.choices


def test_the_prompt_is_not_echoed() -> None:
    text = generated().choices[0].text
    assert not any(word in text for word in USER["content"].split())


@pytest.mark.parametrize("limit", [{"max_tokens": 7}, {"max_completion_tokens": 7}])
def test_the_limit_ends_the_text(limit: dict[str, Any]) -> None:
    answer = generated(**limit)
    assert answer.completion_tokens == 7
    assert answer.choices[0].finish_reason == "length"
    assert count_tokens(answer.choices[0].text) == 7


def test_a_text_of_exactly_the_limit_stops_by_itself() -> None:
    assert generated(tokens=7, max_tokens=7).choices[0].finish_reason == "stop"


def test_each_choice_has_its_own_text() -> None:
    answer = generated(n=3)
    assert len({choice.text for choice in answer.choices}) == 3
    assert answer.completion_tokens == sum(count_tokens(choice.text) for choice in answer.choices)


def test_reasoning_is_part_of_the_completion() -> None:
    answer = generated(model="o4-mini", tokens=10)
    assert answer.reasoning_tokens % 64 == 0
    assert answer.reasoning_tokens > 0
    assert answer.completion_tokens == answer.reasoning_tokens + 10


def test_a_small_limit_is_used_up_by_reasoning() -> None:
    answer = generated(model="o3", max_completion_tokens=50)
    assert (answer.completion_tokens, answer.reasoning_tokens) == (50, 50)
    assert answer.choices[0].text == ""
    assert answer.choices[0].finish_reason == "length"


def test_effort_decides_how_much_is_reasoned() -> None:
    efforts = ("minimal", "low", "medium", "high")
    spent = [generated(model="gpt-5", reasoning_effort=effort).reasoning_tokens for effort in efforts]
    assert spent[0] == 0
    assert spent == sorted(spent)
    assert len(set(spent)) == 4


@pytest.mark.parametrize(
    ("choice", "finish_reason"),
    [("required", "tool_calls"), ({"type": "function", "function": {"name": "get_weather"}}, "stop")],
)
def test_a_tool_is_called_when_it_must_be(choice: object, finish_reason: str) -> None:
    answer = generated(tools=[WEATHER], tool_choice=choice).choices[0]
    assert answer.call is not None
    assert answer.call.name == "get_weather"
    assert json.loads(answer.text) == {"city": "river", "unit": "c", "days": 1}
    assert answer.finish_reason == finish_reason
    assert answer.visible_tokens == count_tokens("get_weather") + count_tokens(answer.text)


def test_a_tool_that_may_be_called_is_not() -> None:
    assert generated(tools=[WEATHER], tool_choice="auto").choices[0].call is None


@given(limit=st.integers(1, 60))
def test_a_tool_call_keeps_within_the_limit(limit: int) -> None:
    answer = generated(tools=[WEATHER], tool_choice="required", max_tokens=limit)
    assert answer.completion_tokens <= limit


def test_structured_answers_are_json() -> None:
    assert set(json.loads(generated(response_format={"type": "json_object"}).choices[0].text)) == {
        "summary",
        "topics",
        "count",
    }
    schema = {"name": "person", "schema": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 3}}}}
    requested_format = {"type": "json_schema", "json_schema": schema}
    assert json.loads(generated(response_format=requested_format).choices[0].text) == {"age": 3}


def test_a_prompt_beyond_the_context_is_refused() -> None:
    messages = [{"role": "user", "content": "river " * 130_000}]
    with pytest.raises(ApiError, match="maximum context length is 128000"):
        generated(messages=messages)


def test_a_long_prompt_seen_before_is_cached_in_steps_of_128() -> None:
    prefixes = PrefixCache()
    long = [{"role": "system", "content": "river " * 1_500}, USER]
    first = generated(messages=long, prefixes=prefixes)
    again = generated(messages=long, prefixes=prefixes)
    longer = generated(messages=[*long, {"role": "assistant", "content": "Yes."}, USER], prefixes=prefixes)
    assert first.cached_tokens == 0
    assert again.cached_tokens == again.prompt_tokens // 128 * 128
    assert longer.cached_tokens == again.cached_tokens


def test_newer_models_write_what_is_not_cached() -> None:
    prefixes = PrefixCache()
    long = [{"role": "user", "content": "river " * 1_500}]
    first, again = (generated(messages=long, model="gpt-5.6-luna", prefixes=prefixes) for _ in range(2))
    assert first.cache_write_tokens == first.prompt_tokens
    assert again.cache_write_tokens == again.prompt_tokens - again.cached_tokens < 128
    assert generated(messages=[USER], model="gpt-5.6-luna", prefixes=prefixes).cache_write_tokens == 0
    assert generated(messages=long, prefixes=PrefixCache()).cache_write_tokens == 0


def test_a_short_prompt_or_another_model_is_not_cached() -> None:
    prefixes = PrefixCache()
    assert [generated(prefixes=prefixes).cached_tokens for _ in range(2)] == [0, 0]
    long = [{"role": "user", "content": "river " * 1_500}]
    generated(messages=long, prefixes=prefixes)
    assert generated(messages=long, model="gpt-4.1", prefixes=prefixes).cached_tokens == 0


def test_the_prefix_cache_forgets_the_oldest() -> None:
    prefixes = PrefixCache(size=1)
    old, new = ([{"role": "user", "content": word * 1_500}] for word in ("river ", "valley "))
    for messages in (old, new):
        generated(messages=messages, prefixes=prefixes)
    assert generated(messages=old, prefixes=prefixes).cached_tokens == 0
