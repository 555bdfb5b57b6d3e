"""Profiles over HTTP, as SDKs see them."""

import json
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import APIStatusError, OpenAI

from local.provider.running import USER, RunningProvider
from tollgate_local.provider.profiles.catalog import PROFILES
from tollgate_local.provider.profiles.profile import Protocol

pytestmark = [pytest.mark.live]

CHAT = [name for name, profile in PROFILES.items() if profile.protocol is Protocol.CHAT]


def post(provider: RunningProvider, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(provider.url + path, json=body, headers=headers, trust_env=False)


def chat(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [USER], "reasoning_effort": "low", **fields}


@pytest.fixture(scope="module")
def sdk(provider: RunningProvider) -> OpenAI:
    return OpenAI(base_url=f"{provider.url}/v1", api_key="any", max_retries=0)


@pytest.mark.parametrize("name", CHAT)
def test_openai_sdk_reads_whole_response_and_stream(sdk: OpenAI, name: str) -> None:
    fields: dict[str, Any] = chat(f"zoo/{name}", metadata={"simulate": "tokens:5"})
    answer = sdk.chat.completions.create(**fields)
    assert answer.model == f"zoo/{name}"
    assert answer.usage is not None
    assert answer.usage.total_tokens >= answer.usage.prompt_tokens + 5
    with sdk.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}) as stream:
        finished = [choice.finish_reason for chunk in stream for choice in chunk.choices if choice.finish_reason]
    assert finished[0] == answer.choices[0].finish_reason


def test_anthropic_sdk_reads_whole_response_and_stream(provider: RunningProvider) -> None:
    client = Anthropic(base_url=provider.url, api_key="any", max_retries=0)
    fields: dict[str, Any] = {
        "model": "zoo/anthropic",
        "max_tokens": 4_000,
        "messages": [{"role": "user", "content": "Say something. [simulate: tokens:5]"}],
    }
    message = client.messages.create(**fields)
    assert [block.type for block in message.content] == ["thinking", "text"]
    with client.messages.stream(**fields) as stream:
        final = stream.get_final_message()
    assert [block.model_dump(include={"type", "thinking", "text"}) for block in final.content] == [
        block.model_dump(include={"type", "thinking", "text"}) for block in message.content
    ]
    assert final.usage.output_tokens == message.usage.output_tokens
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens == message.usage.output_tokens_details.thinking_tokens + 5


def test_gemini_responds_at_its_own_path(provider: RunningProvider) -> None:
    body = {"contents": [{"parts": [{"text": "Say something. [simulate: tokens:5]"}]}]}
    path = "/v1beta/models/zoo/gemini:"
    answer = post(provider, path + "generateContent", body).json()
    assert answer["usageMetadata"]["candidatesTokenCount"] == 5
    stream = post(provider, path + "streamGenerateContent?alt=sse", body).content
    *_earlier, last = [json.loads(line[6:]) for line in stream.split(b"\r\n") if line]
    assert last["usageMetadata"] == answer["usageMetadata"]


def test_header_selects_a_profile_for_any_model(provider: RunningProvider) -> None:
    header = {"x-simulated-provider": "xai"}
    answer = post(provider, "/v1/chat/completions", chat("grok-9"), **header).json()
    assert answer["model"] == "grok-9"
    assert "cost_in_usd_ticks" in answer["usage"]


def test_first_part_of_a_model_selects_a_profile(provider: RunningProvider) -> None:
    answer = post(provider, "/v1/chat/completions", chat("deepseek/deepseek-v4")).json()
    assert "prompt_cache_hit_tokens" in answer["usage"]


@pytest.mark.parametrize(("model", "header"), [("zoo/nobody", {}), ("gpt-4o", {"x-simulated-provider": "nobody"})])
def test_unknown_profile_is_rejected_with_the_known_ones(
    provider: RunningProvider, model: str, header: dict[str, str]
) -> None:
    answer = post(provider, "/v1/chat/completions", chat(model), **header)
    assert answer.status_code == 404
    assert "'nobody'" in answer.json()["error"]["message"]
    assert "moonshot" in answer.json()["error"]["message"]


def test_profile_is_rejected_at_the_endpoint_of_another_protocol(provider: RunningProvider) -> None:
    answer = post(provider, "/v1/chat/completions", chat("zoo/anthropic"))
    assert answer.status_code == 404
    assert "responds at /v1/messages" in answer.json()["error"]["message"]


def test_models_without_a_profile_are_served_as_before(provider: RunningProvider) -> None:
    answer = post(provider, "/v1/chat/completions", {"model": "gpt-4o", "messages": [USER]}).json()
    assert answer["system_fingerprint"] == "fp_simulated"
    assert post(provider, "/v1/chat/completions", {"model": "nobody", "messages": [USER]}).status_code == 404


@pytest.mark.parametrize("name", [name for name in CHAT if name != "minimax"])
def test_requested_error_has_the_status_and_the_body_of_the_profile(sdk: OpenAI, name: str) -> None:
    with pytest.raises(APIStatusError) as raised:
        sdk.chat.completions.create(**chat(f"zoo/{name}", metadata={"simulate": "error:429"}))
    assert raised.value.status_code == 429
    assert "Rate limit reached" in raised.value.response.text


def test_requested_error_of_minimax_is_a_response(provider: RunningProvider) -> None:
    body = chat("zoo/minimax", metadata={"simulate": "error:429"})
    answer = post(provider, "/v1/chat/completions", body)
    assert answer.status_code == 200
    assert answer.json()["base_resp"]["status_code"] == 1_002


def test_error_in_a_stream_has_the_shape_of_the_profile(provider: RunningProvider) -> None:
    body = chat("zoo/groq", stream=True, metadata={"simulate": "error_mid_stream:3"})
    answer = post(provider, "/v1/chat/completions", body)
    assert answer.text.count('"reasoning":') == 3
    assert "event: error\ndata: " in answer.text
    assert "[DONE]" not in answer.text


def test_omitted_usage_is_omitted_everywhere(provider: RunningProvider) -> None:
    body = chat("zoo/moonshot", stream=True, metadata={"simulate": "no_usage"})
    assert "prompt_tokens" not in post(provider, "/v1/chat/completions", body).text


def test_cached_prompt_is_stated_in_the_members_of_the_profile(provider: RunningProvider) -> None:
    messages = [{"role": "user", "content": "bridge " * 2_000}]
    stated = []
    for _ in range(2):
        answer = post(provider, "/v1/chat/completions", chat("zoo/moonshot") | {"messages": messages}).json()
        stated.append(answer["usage"]["cached_tokens"])
    assert stated == [0, 1_920]


def test_marked_prompt_is_written_to_the_cache(provider: RunningProvider) -> None:
    part = {"type": "text", "text": "window " * 2_000, "cache_control": {"type": "ephemeral"}}
    body = chat("zoo/dashscope") | {"messages": [{"role": "user", "content": [part]}]}
    first, second = (post(provider, "/v1/chat/completions", body).json()["usage"] for _ in range(2))
    assert first["prompt_tokens_details"]["cache_creation_input_tokens"] == first["prompt_tokens"]
    assert second["prompt_tokens_details"]["cached_tokens"] == 1_920
