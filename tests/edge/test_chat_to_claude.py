"""Chat completions at Claude: the parameters of each model, repaired histories, thinking and unknown blocks."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from tollgate_edge.providers.anthropic import AnthropicProvider
from tollgate_edge.providers.base import JSON, Operation, ProviderRequest, ProviderResponse
from tollgate_edge.providers.gemini import GeminiProvider
from tollgate_edge.providers.http_transport import Timeouts, Transport
from tollgate_edge.providers.translators import openai_to_anthropic
from tollgate_edge.providers.translators.base import translate_request_body, translate_response_body

NEWEST = "claude-sonnet-5-5"
MARK = {"type": "ephemeral"}
SIGNED = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}


def to_claude(chat: dict[str, Any], max_output_tokens: int | None = None) -> dict[str, Any]:
    translate = partial(openai_to_anthropic.translate_request, max_output_tokens=max_output_tokens)
    sent: dict[str, Any] = json.loads(translate_request_body(json.dumps(chat).encode(), translate))
    return sent


def chat_with(*messages: dict[str, Any], model: str = NEWEST, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Look"}, *messages], **more}


def calling(*ids: str, content: Any = None, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    function = {"name": "look", "arguments": arguments}
    calls = [{"id": call_id, "type": "function", "function": function} for call_id in ids]
    return {"role": "assistant", "content": content, "tool_calls": calls, **more}


def result(call_id: str, content: Any = "boats", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def turns_of(sent: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(turn["role"], turn["content"]) for turn in sent["messages"]]


def from_claude(content: Any, **more: Any) -> dict[str, Any]:
    message = {"id": "msg_1", "model": "claude-x", "content": content, "stop_reason": "end_turn"} | more
    body = translate_response_body(json.dumps(message).encode(), openai_to_anthropic.translate_response)
    completion: dict[str, Any] = json.loads(body)
    return completion


def message_of(content: Any) -> dict[str, Any]:
    message: dict[str, Any] = from_claude(content)["choices"][0]["message"]
    return message


def deltas_of(*events: dict[str, Any], stop: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The deltas of a stream with these events, without the first and the last."""
    translator = openai_to_anthropic.StreamTranslator()
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 9}}}
    end = {"type": "message_delta", "delta": stop or {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}
    sent = b"".join(translator.translate(event) for event in [start, *events, end, {"type": "message_stop"}])
    chunks = [json.loads(line[6:]) for line in sent.split(b"\n\n") if line.startswith(b"data: {")]
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]][1:-1]


def started(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def added(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


# --- parameters of each model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-3-5-haiku-20241022", {"temperature", "top_p"}),
        ("claude-sonnet-4-20250514", {"temperature", "top_p"}),
        ("claude-opus-4-1-20250805", {"temperature"}),
        ("claude-sonnet-4-5-20250929", {"temperature"}),
        ("claude-haiku-4-5@20251001", {"temperature"}),
        ("us.anthropic.claude-opus-4-6-v1", {"temperature"}),
        ("anthropic/claude-opus-4.7", set()),
        ("claude-opus-4-7", set()),
        ("claude-opus-4-8", set()),
        ("claude-sonnet-5", set()),
        ("claude-haiku-5-5", set()),
        ("claude-fable-5-1", set()),
        ("claude-mythos-preview", set()),
        ("m", {"temperature", "top_p"}),
    ],
)
def test_sampling_is_sent_only_where_accepted(model: str, expected: set[str]) -> None:
    sent = to_claude(chat_with(model=model, temperature=0.2, top_p=0.9))
    assert sent.keys() & {"temperature", "top_p"} == expected


def test_top_p_alone_is_kept() -> None:
    assert to_claude(chat_with(model="claude-sonnet-4-5", top_p=0.9))["top_p"] == 0.9


@pytest.mark.parametrize(
    ("model", "longest"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-haiku-20241022", 8_192),
        ("claude-3-7-sonnet-20250219", 64_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-opus-4-5-20251101", 64_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-opus-4-6", 128_000),
        ("claude-sonnet-5", 128_000),
        ("m", 64_000),
    ],
)
def test_longest_response_is_default_limit(model: str, longest: int) -> None:
    assert to_claude(chat_with(model=model))["max_tokens"] == longest
    assert to_claude(chat_with(model=model, max_tokens=99))["max_tokens"] == 99
    assert to_claude(chat_with(model=model, max_completion_tokens=10**6))["max_tokens"] == longest


def test_longest_response_of_catalog_comes_first() -> None:
    assert to_claude(chat_with(model="claude-haiku-4-5"), 50_000)["max_tokens"] == 50_000
    assert to_claude(chat_with(max_tokens=300_000), 200_000)["max_tokens"] == 200_000
    assert to_claude(chat_with(max_tokens=99), 200_000)["max_tokens"] == 99


@pytest.mark.parametrize(
    ("provider", "response", "limit"),
    [
        (AnthropicProvider, {"content": []}, lambda sent: sent["max_tokens"]),
        (
            GeminiProvider,
            {"candidates": [{}]},
            lambda sent: sent["generationConfig"]["maxOutputTokens"],
        ),
    ],
)
def test_providers_respect_longest_response_of_catalog(
    provider: Any, response: dict[str, Any], limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = []

    async def complete(_self: Transport, _path: str, body: bytes, *_rest: Any) -> ProviderResponse:
        bodies.append(json.loads(body))
        return ProviderResponse(json.dumps(response).encode(), JSON)

    monkeypatch.setattr(Transport, "complete", complete)
    chat = json.dumps(chat_with(model="m", max_tokens=99_999)).encode()
    request = ProviderRequest(Operation.CHAT, "m", chat, max_output_tokens=4_321)
    asyncio.run(provider("http://127.0.0.1:1", "k", Timeouts(1, 1)).complete(request))
    assert [limit(sent) for sent in bodies] == [4_321]


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-sonnet-4-5-20250929", "high", None),
        ("claude-opus-4-5", "max", "high"),
        ("claude-opus-4-6", "xhigh", "high"),
        ("claude-sonnet-4-6", "max", "max"),
        ("claude-opus-4-7", "xhigh", "xhigh"),
        ("claude-haiku-5-5", "minimal", "low"),
        ("claude-opus-5-5", "none", None),
    ],
)
def test_effort_is_one_that_model_accepts(model: str, effort: str, expected: str | None) -> None:
    sent = to_claude(chat_with(model=model, reasoning_effort=effort))
    assert sent.get("output_config", {}).get("effort") == expected


@pytest.mark.parametrize(
    ("stop", "expected"), [(" ", None), ("\n\n", None), ("", None), (["\n", "END", " "], ["END"]), (" x", [" x"])]
)
def test_blank_stop_sequences_are_removed(stop: Any, expected: list[str] | None) -> None:
    assert to_claude(chat_with(stop=stop)).get("stop_sequences") == expected


@pytest.mark.parametrize(
    ("model", "is_forced"),
    [
        ("claude-opus-5", True),
        ("claude-sonnet-5-5", True),
        ("claude-haiku-5-5", True),
        ("claude-opus-5-5", False),
        ("claude-fable-5", True),
        ("claude-fable-5-1", False),
        ("m", True),
    ],
)
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
def test_forced_call_is_asked_for_where_refused(model: str, choice: Any, is_forced: bool) -> None:
    tool = {"type": "function", "function": {"name": "look"}}
    sent = to_claude(chat_with(model=model, tools=[tool], tool_choice=choice, parallel_tool_calls=False))
    assert sent["tool_choice"]["disable_parallel_tool_use"] is True
    if is_forced:
        assert (sent["tool_choice"]["type"] in {"any", "tool"}, "system" in sent) == (True, False)
    else:
        assert sent["tool_choice"]["type"] == "auto"
        assert ("'look'" in sent["system"][0]["text"]) is isinstance(choice, dict)


def test_json_object_is_asked_for() -> None:
    (instruction,) = to_claude(chat_with(response_format={"type": "json_object"}))["system"]
    assert instruction["text"] == "Respond with one JSON object and nothing else."


# --- histories ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "is_prefill"),
    [
        ("claude-sonnet-4-5", True),
        ("claude-opus-4-6", False),
        ("claude-sonnet-4-6", False),
        ("claude-opus-5-5", False),
    ],
)
def test_last_message_of_assistant(model: str, is_prefill: bool) -> None:
    *_, last = turns_of(to_claude(chat_with({"role": "assistant", "content": "The boats \n"}, model=model)))
    if is_prefill:
        assert last == ("assistant", [{"type": "text", "text": "The boats"}])
    else:
        assert last == ("user", [{"type": "text", "text": "Continue."}])


def test_system_alone_is_a_turn() -> None:
    sent = to_claude({"model": NEWEST, "messages": [{"role": "system", "content": "Greet"}]})
    assert turns_of(sent) == [("user", [{"type": "text", "text": "Greet"}])]
    assert "system" not in sent


@pytest.mark.parametrize("call_id", ["functions.look:0", "call|1", "größe", ""])
def test_ids_are_in_claude_alphabet(call_id: str) -> None:
    sent = to_claude(chat_with(calling(call_id), result(call_id)))
    _, (_, [call]), (_, [answer]) = turns_of(sent)
    assert call["id"] == answer["tool_use_id"]
    assert call["id"].replace("-", "").replace("_", "").isalnum()
    assert call["id"].isascii()
    assert to_claude(chat_with(calling(call_id), result(call_id))) == sent


def test_different_ids_stay_different() -> None:
    ids = ["look.0", "look:0", "look_0"]
    sent = to_claude(chat_with(calling(*ids), *[result(call_id) for call_id in ids]))
    _, (_, calls), (_, answers) = turns_of(sent)
    assert len({call["id"] for call in calls}) == 3
    assert [call["id"] for call in calls] == [answer["tool_use_id"] for answer in answers]


def test_ids_that_repeat_are_made_unique() -> None:
    sent = to_claude(chat_with(calling("look"), result("look", "one"), calling("look"), result("look", "two")))
    _, (_, [first]), (_, [one]), (_, [second]), (_, [two]) = turns_of(sent)
    assert (first["id"], second["id"]) == (one["tool_use_id"], two["tool_use_id"])
    assert first["id"] != second["id"]
    assert two["content"] == [{"type": "text", "text": "two"}]


def test_call_without_result_gets_placeholder() -> None:
    sent = to_claude(chat_with(calling("a", "b"), {"role": "user", "content": "Stop"}, result("b")))
    _, (_, calls), (_, blocks) = turns_of(sent)
    assert [call["id"] for call in calls] == ["a", "b"]
    assert [(block["type"], block.get("tool_use_id")) for block in blocks] == [
        ("tool_result", "b"),
        ("tool_result", "a"),
        ("text", None),
    ]


def test_last_call_without_result_gets_placeholder() -> None:
    *_, (role, [block]) = turns_of(to_claude(chat_with(calling("a"))))
    assert (role, block["type"], block["tool_use_id"]) == ("user", "tool_result", "a")


def test_parallel_calls_in_two_messages_keep_their_results() -> None:
    sent = to_claude(chat_with(calling("a"), calling("b"), result("a"), result("b")))
    _, (_, calls), (_, answers) = turns_of(sent)
    assert [call["id"] for call in calls] == [answer["tool_use_id"] for answer in answers] == ["a", "b"]
    assert all(answer["content"] == [{"type": "text", "text": "boats"}] for answer in answers)


@pytest.mark.parametrize("content", ["boats", [{"type": "text", "text": "boats"}]])
def test_result_without_call_becomes_text(content: Any) -> None:
    sent = to_claude(chat_with(result("lost", content), calling("a"), result("a"), result("a", "again")))
    (_, [_, label, lost]), _, (_, [answer, _, repeated]) = turns_of(sent)
    assert "lost" in label["text"]
    assert (lost["text"], answer["tool_use_id"], repeated["text"]) == ("boats", "a", "again")


@pytest.mark.parametrize(("arguments", "expected"), [("", {}), ("{", {}), ('{"where":"ri', {"where": "ri"}), ("7", {})])
def test_torn_arguments_are_repaired(arguments: str, expected: dict[str, Any]) -> None:
    _, (_, [call]), _ = turns_of(to_claude(chat_with(calling("a", arguments=arguments), result("a"))))
    assert call["input"] == expected


def test_cache_mark_of_message_is_on_last_block() -> None:
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    sent = to_claude(
        {
            "model": NEWEST,
            "messages": [
                {"role": "system", "content": "Be brief", "cache_control": MARK},
                {"role": "user", "content": parts, "cache_control": MARK},
                calling("a", content="Let me look", cache_control=MARK),
                result("a", cache_control=MARK),
                {"role": "user", "content": "", "cache_control": MARK},
            ],
        }
    )
    assert sent["system"][0]["cache_control"] == MARK
    (_, [one, two]), (_, [text, call]), (_, [answer]) = turns_of(sent)
    assert ["cache_control" in block for block in (one, text)] == [False, False]
    assert [block["cache_control"] for block in (two, call, answer)] == [MARK, MARK, MARK]


def test_cache_mark_of_function_is_on_tool() -> None:
    tool = {"type": "function", "function": {"name": "look", "cache_control": MARK}}
    assert to_claude(chat_with(tools=[tool]))["tools"][0]["cache_control"] == MARK


# --- thinking -------------------------------------------------------------------------------------------------------


def test_thinking_without_signature_is_removed_from_history() -> None:
    unsigned = [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "thinking", "thinking": "Hm"}]
    parts = [{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": "Boats"}]
    said = {"role": "assistant", "content": parts, "reasoning_content": "Hm", "thinking_blocks": unsigned}
    sent = to_claude(chat_with(said, {"role": "user", "content": "And now?"}))
    assert turns_of(sent)[1] == ("assistant", [{"type": "text", "text": "Boats"}])


def test_signed_thinking_survives() -> None:
    call = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
    message = message_of([SIGNED, REDACTED, call])
    assert (message["reasoning_content"], message["thinking_blocks"]) == ("Hm", [SIGNED, REDACTED])
    assert turns_of(to_claude(chat_with(message, result("a"))))[1] == ("assistant", [SIGNED, REDACTED, call])


def test_signed_thinking_survives_stream() -> None:
    deltas = deltas_of(
        started(0, {"type": "thinking", "thinking": "", "signature": ""}),
        added(0, "thinking_delta", thinking="H"),
        added(0, "thinking_delta", thinking="m"),
        added(0, "signature_delta", signature="c2ln"),
        stopped(0),
        started(1, REDACTED),
        stopped(1),
        started(2, {"type": "text", "text": ""}),
        added(2, "text_delta", text="Boats"),
        stopped(2),
    )
    assert deltas == [
        {"reasoning_content": "H"},
        {"reasoning_content": "m"},
        {"thinking_blocks": [SIGNED]},
        {"thinking_blocks": [REDACTED]},
        {"content": "Boats"},
    ]


# --- responses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "deltas", "expected"),
    [
        ({}, [], "{}"),
        ({}, [""], "{}"),
        ({}, ["", '{"where":', '"river"}'], '{"where":"river"}'),
        ({"where": "river"}, [], '{"where":"river"}'),
        ({"where": "river"}, [""], '{"where":"river"}'),
        (None, [], "{}"),
    ],
)
@pytest.mark.parametrize("is_stopped", [True, False])
def test_arguments_of_streamed_call_are_complete(
    start: dict[str, Any] | None, deltas: list[str], expected: str, is_stopped: bool
) -> None:
    events = [
        started(0, {"type": "tool_use", "id": "toolu_1", "name": "look", "input": start}),
        *[added(0, "input_json_delta", partial_json=delta) for delta in deltas],
        *([stopped(0)] if is_stopped else []),
    ]
    calls = [call for delta in deltas_of(*events) for call in delta["tool_calls"]]
    assert {call["index"] for call in calls} == {0}
    assert "".join(call["function"]["arguments"] for call in calls) == expected


def test_blocks_of_server_tools_leave_calls_alone() -> None:
    deltas = deltas_of(
        started(0, {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}),
        started(1, {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}),
        added(1, "input_json_delta", partial_json='{"query":"boats"}'),
        added(0, "input_json_delta", partial_json='{"where":"river"}'),
        stopped(1),
        stopped(0),
        started(2, {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}),
        stopped(2),
        started(3, {"type": "text", "text": ""}),
        added(3, "citations_delta", citation={}),
        added(3, "text_delta", text="Boats"),
        added(3, "hologram_delta"),
    )
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [call["function"]["arguments"] for call in calls] == ["", '{"where":"river"}']
    assert [delta["content"] for delta in deltas if "content" in delta] == ["Boats"]


def test_unknown_blocks_leave_text_alone() -> None:
    blocks = [
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
        {"type": "redacted_thinking"},
        {"type": "thinking"},
        {"type": "hologram"},
        {"no": "type"},
        {"type": "text"},
        {"type": "text", "text": "Boats"},
    ]
    assert message_of(blocks) == {"role": "assistant", "content": "Boats", "refusal": None}


def test_refusal_is_explained() -> None:
    stop = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Not this"}}
    (choice,) = from_claude([], **stop)["choices"]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "Not this")
    assert deltas_of(stop=stop) == [{"refusal": "Not this"}]
    assert deltas_of(stop={"stop_reason": "refusal", "stop_details": None}) == []


def test_sparse_message_is_translated() -> None:
    body = json.dumps({"content": "Boats"}).encode()
    completion = json.loads(translate_response_body(body, openai_to_anthropic.translate_response))
    (choice,) = completion["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Boats", "stop")


def test_call_without_input_has_empty_object() -> None:
    (call,) = message_of([{"type": "tool_use", "id": "a", "name": "look"}])["tool_calls"]
    assert call["function"] == {"name": "look", "arguments": "{}"}
