"""The shapes of profiles, compared with the providers' references and recorded responses."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tollgate_local.provider.errors import simulated_error
from tollgate_local.provider.generation import Call
from tollgate_local.provider.profiles.catalog import PROFILES, respond
from tollgate_local.provider.profiles.charges import Charges, expected, shown_tokens
from tollgate_local.provider.profiles.profile import Place, Profile, Protocol
from tollgate_local.provider.profiles.truth import Finish, Truth

USED = Truth(
    prompt_tokens=2_000, text=("Hi", " there", "."), reasoning=("Let", " me"), cached_tokens=1_500, written_tokens=400
)
CALLED = replace(
    USED, text=('{"', "city", '":"', "Rome", '"}'), call=Call("call_1", "look", 1), finish=Finish.TOOL_CALLS
)
CHAT = [profile for profile in PROFILES.values() if profile.protocol is Protocol.CHAT]

chat_profiles = pytest.mark.parametrize("profile", CHAT, ids=[profile.name for profile in CHAT])

# The members of a recorded usage, with the values that `USED` gives them. The sources are in the profiles.
USAGE = {
    "openai": {
        "prompt_tokens": 2_000,
        "completion_tokens": 5,
        "total_tokens": 2_005,
        "prompt_tokens_details": {"cached_tokens": 1_500, "cache_write_tokens": 400, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 2,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    },
    "anthropic": {
        "input_tokens": 100,
        "cache_creation_input_tokens": 400,
        "cache_read_input_tokens": 1_500,
        "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
        "service_tier": "standard",
        "inference_geo": "not_available",
    },
    "gemini": {
        "promptTokenCount": 2_000,
        "cachedContentTokenCount": 1_500,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 2_005,
    },
    "gemini-openai": {
        "prompt_tokens": 2_000,
        "completion_tokens": 3,
        "total_tokens": 2_005,
        "prompt_tokens_details": {"cached_tokens": 1_500},
    },
    "xai": {
        "prompt_tokens": 2_000,
        "completion_tokens": 3,
        "total_tokens": 2_005,
        "prompt_tokens_details": {
            "text_tokens": 2_000,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 1_500,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 2,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "num_sources_used": 0,
        "cost_in_usd_ticks": 1_466_250,
    },
    "moonshot": {
        "prompt_tokens": 2_000,
        "completion_tokens": 5,
        "total_tokens": 2_005,
        "cached_tokens": 1_500,
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
    "deepseek": {
        "prompt_tokens": 2_000,
        "completion_tokens": 5,
        "total_tokens": 2_005,
        "prompt_tokens_details": {"cached_tokens": 1_500},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "prompt_cache_hit_tokens": 1_500,
        "prompt_cache_miss_tokens": 500,
    },
    "dashscope": {
        "prompt_tokens": 2_000,
        "completion_tokens": 5,
        "total_tokens": 2_005,
        "prompt_tokens_details": {
            "cached_tokens": 1_500,
            "cache_creation": {"ephemeral_5m_input_tokens": 400},
            "cache_creation_input_tokens": 400,
            "cache_type": "ephemeral",
        },
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
    "minimax": {
        "total_tokens": 2_005,
        "total_characters": 0,
        "prompt_tokens": 2_000,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1_500},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
    "mistral": {
        "prompt_tokens": 2_000,
        "total_tokens": 2_005,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1_500},
    },
    "sglang": {
        "prompt_tokens": 2_000,
        "total_tokens": 2_005,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1_500},
        "reasoning_tokens": 2,
    },
    "vllm": {
        "prompt_tokens": 2_000,
        "total_tokens": 2_005,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1_500},
    },
    "llama.cpp": {
        "prompt_tokens": 2_000,
        "total_tokens": 2_005,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1_500},
    },
    "ollama": {"prompt_tokens": 2_000, "completion_tokens": 5, "total_tokens": 2_005},
    "together": {"prompt_tokens": 2_000, "completion_tokens": 5, "total_tokens": 2_005},
}


def events(profile: Profile, used: Truth = USED, *, asks_usage: bool = True) -> list[Any]:
    """The data of a stream's events, without comments and `[DONE]`."""
    return list(_data(respond(profile, used, asks_usage=asks_usage).stream()))


def _data(stream: bytes) -> Iterator[Any]:
    for line in stream.splitlines():
        if line.startswith(b"data:") and line != b"data: [DONE]":
            yield json.loads(line[5:])


def whole(profile: Profile, used: Truth = USED) -> Any:
    return json.loads(respond(profile, used).whole())


@pytest.mark.parametrize("name", USAGE)
def test_usage_has_the_members_of_a_recorded_one(name: str) -> None:
    body = whole(PROFILES[name])
    assert body.get("usage", body.get("usageMetadata")) == USAGE[name]


PLACES = {
    "openai": ["own chunk"],
    "azure": ["own chunk"],
    "gemini-openai": ["chunk"] * 3 + ["finish"],
    "xai": ["own chunk"],
    "moonshot": ["choice", "own chunk"],
    "deepseek": ["finish"],
    "dashscope": ["own chunk"],
    "zhipu": ["finish"],
    "minimax": ["whole response"],
    "mistral": ["finish"],
    "groq": ["x_groq", "finish"],
    "groq-x": ["x_groq"],
    "together": ["finish"],
    "openrouter": ["chunk"],
    "vllm": ["own chunk"],
    "sglang": ["own chunk"],
    "llama.cpp": ["own chunk"],
    "ollama": ["own chunk"],
}


def places(chunk: dict[str, Any]) -> Iterator[str]:
    """Where a chunk states what was used. Moonshot's and Groq's own places come first."""
    for choice in chunk["choices"]:
        if "usage" in choice:
            yield "choice"
    if "usage" in chunk.get("x_groq", {}):
        yield "x_groq"
    if "prompt_tokens" in (chunk.get("usage") or {}):
        finished = any(choice.get("finish_reason") for choice in chunk["choices"])
        kind = "finish" if finished else "chunk" if chunk["choices"] else "own chunk"
        yield "whole response" if chunk["object"] == "chat.completion" else kind


@chat_profiles
def test_stream_states_the_usage_where_the_provider_does(profile: Profile) -> None:
    assert [place for chunk in events(profile) for place in places(chunk)] == PLACES[profile.name]


ONLY_IF_ASKED = {"openai", "azure", "dashscope", "vllm", "sglang", "llama.cpp", "ollama"}


@chat_profiles
def test_some_state_the_usage_of_a_stream_only_if_asked(profile: Profile) -> None:
    stated = [place for chunk in events(profile, asks_usage=False) for place in places(chunk)]
    if profile.name in ONLY_IF_ASKED:
        assert stated == []
    elif profile.name == "moonshot":
        assert stated == ["choice"]
    else:
        assert stated == PLACES[profile.name]


@chat_profiles
def test_every_place_states_the_same(profile: Profile) -> None:
    *_earlier, last = [chunk["usage"] for chunk in events(profile) if chunk.get("usage")] or [None]
    if last is not None:
        assert last == whole(profile)["usage"]


IDLE_USAGE: dict[str, Any] = {
    "openai": None,
    "azure": None,
    "deepseek": None,
    "dashscope": None,
    "sglang": None,
    "together": None,
    "minimax": {"total_tokens": 0, "total_characters": 0},
}


@chat_profiles
def test_other_chunks_have_no_usage_or_an_empty_one(profile: Profile) -> None:
    first = next(chunk for chunk in events(profile) if chunk["choices"])
    if Place.EVERY_CHUNK in profile.places:
        return
    assert ("usage" in first) == (profile.name in IDLE_USAGE)
    assert first.get("usage") == IDLE_USAGE.get(profile.name)


REASONING = {
    "reasoning_content": {"xai", "moonshot", "deepseek", "dashscope", "zhipu", "minimax", "sglang", "llama.cpp"},
    "reasoning": {"groq", "groq-x", "together", "openrouter", "vllm", "ollama"},
}


@chat_profiles
def test_reasoning_is_where_the_provider_shows_it(profile: Profile) -> None:
    deltas = [choice["delta"] for chunk in events(profile) for choice in chunk["choices"] if "delta" in choice]
    message = whole(profile)["choices"][0]["message"]
    for member, names in REASONING.items():
        shown = "".join(delta.get(member) or "" for delta in deltas)
        assert shown == message.get(member, "") == ("Let me" if profile.name in names else "")


def test_reasoning_of_mistral_is_a_part_of_the_content() -> None:
    assert whole(PROFILES["mistral"])["choices"][0]["message"]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}]},
        {"type": "text", "text": "Hi there."},
    ]


@chat_profiles
def test_stream_has_the_text_of_the_whole_response(profile: Profile) -> None:
    texts = []
    for choice in (choice for chunk in events(profile) for choice in chunk["choices"] if "delta" in choice):
        content = choice["delta"].get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts += [part["text"] for part in parts if part["type"] == "text"]
    assert "".join(texts) == "Hi there."


@chat_profiles
def test_stream_has_the_call_of_the_whole_response(profile: Profile) -> None:
    made = whole(profile, CALLED)["choices"][0]["message"]["tool_calls"][0]["function"]
    calls = [
        call["function"]
        for chunk in events(profile, CALLED)
        for choice in chunk["choices"]
        for call in choice.get("delta", {}).get("tool_calls") or ()
    ]
    assert "".join(call.get("name", "") for call in calls) == made["name"] == "look"
    assert "".join(call["arguments"] for call in calls) == made["arguments"] == '{"city":"Rome"}'


@chat_profiles
@pytest.mark.parametrize(("finish", "reason"), [(Finish.STOP, "stop"), (Finish.LENGTH, "length")])
def test_finish_reasons(profile: Profile, finish: Finish, reason: str) -> None:
    reason = "eos" if (profile.name, reason) == ("together", "stop") else reason
    used = replace(USED, finish=finish)
    stated = [choice.get("finish_reason") for chunk in events(profile, used) for choice in chunk["choices"]]
    assert whole(profile, used)["choices"][0]["finish_reason"] == reason
    assert {value for value in stated if value} == {reason}


# OpenAI's types do not allow what these providers send.
UNTYPED_WHOLE = {
    "mistral": "content in parts",
    "together": "the finish reason eos",
}
UNTYPED_CHUNKS = {
    "azure": "a first chunk without an object",
    "minimax": "an empty role and a complete response",
    "mistral": "content in parts",
    "together": "the finish reason eos",
}


@chat_profiles
def test_openai_types_allow_whole_response(profile: Profile) -> None:
    if profile.name not in UNTYPED_WHOLE:
        assert ChatCompletion.model_validate(whole(profile)).choices[0].message.content == "Hi there."


@chat_profiles
def test_openai_types_allow_chunks(profile: Profile) -> None:
    if profile.name not in UNTYPED_CHUNKS:
        assert [ChatCompletionChunk.model_validate(chunk) for chunk in events(profile)]


def test_anthropic_types_allow_whole_response() -> None:
    message = Message.model_validate(whole(PROFILES["anthropic"]))
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.usage.input_tokens == 100


def test_anthropic_states_the_prompt_at_the_start_and_at_the_end() -> None:
    start, *_others, delta, _stop = events(PROFILES["anthropic"])
    assert start["message"]["usage"]["cache_read_input_tokens"] == 1_500
    assert start["message"]["usage"]["output_tokens"] == 1
    assert delta["usage"] == {
        "input_tokens": 100,
        "cache_creation_input_tokens": 400,
        "cache_read_input_tokens": 1_500,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_gemini_states_the_usage_so_far_in_each_event() -> None:
    stated = [event["usageMetadata"]["candidatesTokenCount"] for event in events(PROFILES["gemini"])]
    assert stated == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("openrouter", b": OPENROUTER PROCESSING\n\n"),
        ("deepseek", b": keep-alive\n\n"),
        ("azure", b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":'),
        ("groq", b'"x_groq":{"id":"req_simulated","seed":'),
        ("llama.cpp", b'"timings":{"cache_n":1500,"prompt_n":500,'),
        ("openrouter", b'"native_finish_reason":"stop"'),
        ("minimax", b'"base_resp":{"status_code":0,"status_msg":""}'),
    ],
)
def test_extra_members(name: str, line: bytes) -> None:
    assert line in respond(PROFILES[name], USED).stream()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_framing(profile: Profile) -> None:
    stream = respond(profile, USED).stream()
    assert stream.endswith(b"data: [DONE]\n\n") == (profile.protocol is Protocol.CHAT)
    assert (b"\r\n\r\n" in stream) == (profile.name == "gemini")


ERRORS = {
    "openai": {"error": {"message": "Rate limit reached for requests.", "type": "requests", "param": None}},
    "azure": {"error": {"code": "429"}},
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error"}},
    "gemini": {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}},
    "xai": {"code": "Some resource has been exhausted", "error": "Rate limit reached for requests."},
    "moonshot": {"error": {"type": "rate_limit_reached_error"}},
    "dashscope": {"error": {"code": "limit_requests"}, "request_id": "0f4e3d2c-1b0a-9f8e-7d6c-5b4a39281706"},
    "zhipu": {"error": {"code": "1302", "message": "Rate limit reached for requests."}},
    "mistral": {"object": "error", "message": "Rate limit reached for requests.", "code": "1300"},
    "groq": {"error": {"type": "tokens", "code": "rate_limit_exceeded"}},
    "openrouter": {"error": {"code": 429, "message": "Rate limit reached for requests."}},
    "vllm": {"error": {"code": 429, "message": "Rate limit reached for requests."}},
    "sglang": {"object": "error", "code": 429, "param": None},
    "llama.cpp": {"error": {"code": 429}},
    "ollama": {"error": {"type": "api_error", "code": None}},
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_has_the_shape_of_the_provider(name: str) -> None:
    status, body = PROFILES[name].error(simulated_error(429))
    assert status == 429
    assert _contains(body, ERRORS[name]), body


def test_error_of_gemini_with_openais_protocol_is_a_list() -> None:
    _status, body = PROFILES["gemini-openai"].error(simulated_error(400))
    assert _contains(body[0], {"error": {"code": 400, "status": "INVALID_ARGUMENT"}})


def test_error_of_minimax_has_status_200() -> None:
    status, body = PROFILES["minimax"].error(simulated_error(429))
    assert (status, body["choices"]) == (200, None)
    assert body["base_resp"] == {"status_code": 1002, "status_msg": "Rate limit reached for requests."}


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(name in whole and _contains(whole[name], value) for name, value in part.items())
    return bool(whole == part)


def test_error_in_a_stream_of_openrouter_has_the_usage() -> None:
    profile = PROFILES["openrouter"]
    events_of_error = respond(profile, USED).error_event(simulated_error(503))
    (chunk,) = _data(events_of_error)
    assert chunk["error"]["code"] == 503
    assert chunk["choices"][0]["finish_reason"] == "error"
    assert chunk["usage"]["completion_tokens"] == 5
    assert events_of_error.endswith(b"data: [DONE]\n\n")


def test_error_in_a_stream_of_groq_is_a_named_event() -> None:
    event = respond(PROFILES["groq"], USED).error_event(simulated_error(400))
    assert event.startswith(b"event: error\ndata: ")
    assert next(_data(event))["error"]["status_code"] == 400


@pytest.mark.parametrize(
    ("name", "charges"),
    [
        ("openai", Charges(100, 1_500, 400, 3, 2)),
        ("anthropic", Charges(100, 1_500, 400, 3, 2)),
        ("xai", Charges(500, 1_500, 0, 3, 2)),
        ("gemini-openai", Charges(500, 1_500, 0, 3, 2)),
        ("mistral", Charges(500, 1_500, 0, 5, 0)),
        ("ollama", Charges(2_000, 0, 0, 5, 0)),
    ],
)
def test_classes_that_are_not_stated_are_charged_as_input_or_output(name: str, charges: Charges) -> None:
    assert expected(PROFILES[name], USED) == charges
    assert sum(charges) == USED.counts.total


def test_hidden_reasoning_cannot_be_counted() -> None:
    assert shown_tokens(PROFILES["openai"], USED) == 3
    assert shown_tokens(PROFILES["deepseek"], USED) == shown_tokens(PROFILES["mistral"], USED) == 5
