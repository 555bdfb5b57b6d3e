"""Chat completions at Gemini: thought signatures, thinking levels, media in results, images and finish reasons."""

import json
from functools import partial
from typing import Any

import pytest

from tollgate_common.rating import TokenCounts
from tollgate_edge.providers.base import Operation, ProviderRequest
from tollgate_edge.providers.compatible import CompatibleProvider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.providers.translators import anthropic_to_openai, openai_to_anthropic, openai_to_gemini
from tollgate_edge.providers.translators.base import translate_request_body, translate_response_body
from tollgate_edge.providers.translators.shapes import MessagesShape
from tollgate_edge.usage.merging import settle

PIXEL = "iVBORw0KGgo="
PIXEL_URL = f"data:image/png;base64,{PIXEL}"
SKIP = "skip_thought_signature_validator"
# With both letters that URL-safe base64 replaces, and with padding.
SIGNATURE = "EjQK+MgEMM1/" + "ab+/" * 700 + "Qg=="
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def to_gemini(chat: dict[str, Any], max_output_tokens: int | None = None) -> dict[str, Any]:
    translate = partial(openai_to_gemini.translate_request, max_output_tokens=max_output_tokens)
    sent: dict[str, Any] = json.loads(translate_request_body(json.dumps(chat).encode(), translate))
    return sent


def chat_with(messages: list[dict[str, Any]], model: str = "gemini-3.1-pro-preview", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Look"}, *messages], **more}


def calling(*ids: str, **more: Any) -> dict[str, Any]:
    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": call_id, "type": "function", "function": function} for call_id in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def result(call_id: str, content: Any = "boats") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def generated(parts: list[dict[str, Any]], reason: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0} | more
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-3.1-pro-preview"}


def from_gemini(response: dict[str, Any]) -> dict[str, Any]:
    body = translate_response_body(json.dumps(response).encode(), openai_to_gemini.translate_response)
    completion: dict[str, Any] = json.loads(body)
    return completion


def message_of(response: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = from_gemini(response)["choices"][0]["message"]
    return message


def streamed(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks that the events become, without the last event."""
    translator = openai_to_gemini.StreamTranslator()
    sent = b"".join(translator.translate(event) for event in events) + translator.finish()
    return [json.loads(chunk.removeprefix(b"data: ")) for chunk in sent.split(b"\n\n") if chunk.startswith(b"data: {")]


def deltas_of(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def parts_of(sent: dict[str, Any], turn: int) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = sent["contents"][turn]["parts"]
    return parts


def function_calls(*signatures: str | None) -> list[dict[str, Any]]:
    return [
        {"functionCall": {"id": f"fc{number}", "name": "look", "args": {}}}
        | ({"thoughtSignature": signature} if signature else {})
        for number, signature in enumerate(signatures)
    ]


# --- thought signatures ---------------------------------------------------------------------------------------------


def test_signature_survives_client_that_keeps_only_ids() -> None:
    calls = message_of(generated(function_calls(SIGNATURE, None)))["tool_calls"]
    kept = calling(*[call["id"] for call in calls])
    sent = to_gemini(chat_with([kept, result(calls[0]["id"]), result(calls[1]["id"])]))
    assert parts_of(sent, 1) == function_calls(SIGNATURE, None)
    assert [part["functionResponse"]["id"] for part in parts_of(sent, 2)] == ["fc0", "fc1"]


@pytest.mark.parametrize("signature", [SIGNATURE, "c2ln", "not base64!", "a-b_c", "c2lnn", "schlüssel"])
def test_id_with_signature_fits_anthropic_alphabet(signature: str) -> None:
    (call,) = message_of(generated(function_calls(signature)))["tool_calls"]
    assert set(call["id"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    sent = to_gemini(chat_with([calling(call["id"]), result(call["id"])]))
    assert parts_of(sent, 1) == function_calls(signature)


def test_signature_survives_messages_stream() -> None:
    translator = anthropic_to_openai.StreamTranslator()
    events = b"".join(
        translator.translate(chunk) for chunk in streamed(generated(function_calls(SIGNATURE), None), generated([]))
    )
    started = next(line for line in events.split(b"\n") if b'"content_block_start"' in line and line[:5] == b"data:")
    block = json.loads(started[5:])["content_block"]
    messages = {
        "model": "gemini-3.1-pro-preview",
        "max_tokens": 500,
        "messages": [
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": [block]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": block["id"], "content": "boats"}]},
        ],
    }
    chat = translate_request_body(json.dumps(messages).encode(), anthropic_to_openai.translate_request, MessagesShape)
    assert parts_of(to_gemini(json.loads(chat)), 1) == function_calls(SIGNATURE)


@pytest.mark.parametrize("field", ["extra_content", "provider_specific_fields", "raw id", "url-safe id"])
def test_signature_is_found_where_clients_keep_it(field: str) -> None:
    call: dict[str, Any] = {"id": "fc0", "type": "function", "function": {"name": "look", "arguments": ""}}
    match field:
        case "extra_content":
            call["extra_content"] = {"google": {"thought_signature": SIGNATURE}}
        case "provider_specific_fields":
            call["provider_specific_fields"] = {"thought_signature": SIGNATURE}
        case "raw id":
            call["id"] = f"fc0__thought__{SIGNATURE}"
        case "url-safe id":
            call["id"] = "fc0__thought__" + SIGNATURE.replace("+", "-").replace("/", "_").rstrip("=")
    sent = to_gemini(chat_with([{"role": "assistant", "tool_calls": [call]}, result(call["id"])]))
    assert parts_of(sent, 1) == function_calls(SIGNATURE)


@pytest.mark.parametrize(
    ("model", "signatures"),
    [
        ("gemini-3.1-pro-preview", [SKIP, None]),
        ("gemini-4-argon", [SKIP, None]),
        ("gemini-flash-latest", [SKIP, None]),
        ("gemini-2.5-pro", [None, None]),
    ],
)
def test_only_first_unsigned_call_of_turn_skips_validation(model: str, signatures: list[str | None]) -> None:
    sent = to_gemini(chat_with([calling("fc0", "fc1"), result("fc0"), result("fc1")], model))
    assert parts_of(sent, 1) == function_calls(*signatures)


def test_signature_of_text_survives() -> None:
    (first, *_) = from_gemini(generated([{"text": "Boats", "thoughtSignature": SIGNATURE}]))["choices"]
    sent = to_gemini(chat_with([first["message"], {"role": "user", "content": "And now?"}]))
    assert parts_of(sent, 1) == [{"text": "Boats", "thoughtSignature": SIGNATURE}]


def test_signature_of_streamed_text_survives() -> None:
    last = generated([{"text": "", "thoughtSignature": SIGNATURE}])
    deltas = deltas_of(streamed(generated([{"text": "Boats"}], None), last))
    (signed,) = [delta for delta in deltas if "extra_content" in delta]
    said = {"role": "assistant", "content": "Boats", **signed}
    assert parts_of(to_gemini(chat_with([said])), 1) == [{"text": "Boats", "thoughtSignature": SIGNATURE}]


def test_ids_for_openai_have_no_signature() -> None:
    (call,) = message_of(generated(function_calls(SIGNATURE)))["tool_calls"]
    chat = chat_with([calling(call["id"]), result(call["id"])], "gpt-4o")
    request = ProviderRequest(Operation.CHAT, "gpt-4o", json.dumps(chat).encode())
    timeouts = Timeouts(1, 1)
    sent = json.loads(OpenAIProvider("http://127.0.0.1:1", "k", timeouts)._body(request))
    assert sent["messages"][1]["tool_calls"][0]["id"] == sent["messages"][2]["tool_call_id"] == "fc0"
    # A gateway behind it may have written the signature itself.
    assert CompatibleProvider("http://127.0.0.1:1", "k", timeouts)._body(request) == request.body
    plain = request._replace(body=b'{"messages":[{"role":"user","content":7.50}]}')
    assert OpenAIProvider("http://127.0.0.1:1", "k", timeouts)._body(plain) is plain.body


@pytest.mark.parametrize("messages", ["7", '["__thought__"]', '[{"tool_calls":[{"id":7}]}]'])
def test_invalid_messages_reach_openai_unchanged(messages: str) -> None:
    body = f'{{"note":"__thought__","messages":{messages}}}'.encode()
    request = ProviderRequest(Operation.CHAT, "gpt-4o", body)
    assert OpenAIProvider("http://127.0.0.1:1", "k", Timeouts(1, 1))._body(request) == body


def test_ids_for_claude_have_no_signature() -> None:
    (call,) = message_of(generated(function_calls(SIGNATURE)))["tool_calls"]
    chat = chat_with([calling(call["id"]), result(call["id"])], "claude-sonnet-5")
    body = translate_request_body(json.dumps(chat).encode(), openai_to_anthropic.translate_request)
    _, called, answered = json.loads(body)["messages"]
    assert called["content"][0]["id"] == answered["content"][0]["tool_use_id"] == "fc0"


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "minimal", {"thinkingBudget": 1_024}),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8_192}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24_576}),
        ("gemini-2.5-flash-image", "high", None),
        ("gemini-3-flash-preview", "none", {"thinkingLevel": "minimal"}),
        ("gemini-3-flash-preview", "medium", {"thinkingLevel": "medium"}),
        ("gemini-3.1-flash-lite", "minimal", {"thinkingLevel": "minimal"}),
        ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "low"}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high"}),
        ("gemini-3.1-pro-preview", "none", {"thinkingLevel": "low"}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "medium"}),
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "low"}),
        ("gemini-3.8-flash", "xhigh", {"thinkingLevel": "high"}),
        ("gemini-4-argon", "max", {"thinkingLevel": "high"}),
        ("gemini-3-pro-image-preview", "low", None),
        ("gemini-3.1-flash-image-preview", "low", {"thinkingLevel": "minimal"}),
        ("gemini-3.1-flash-image-preview", "medium", {"thinkingLevel": "high"}),
        ("gemini-3.1-pro-preview", "extreme", None),
    ],
)
def test_effort_becomes_level_or_budget(model: str, effort: str, expected: dict[str, Any] | None) -> None:
    sent = to_gemini(chat_with([], model, reasoning_effort=effort))
    assert sent.get("generationConfig", {}).get("thinkingConfig") == expected


@pytest.mark.parametrize("model", ["gemini-3.1-pro-preview", "gemini-2.5-pro"])
def test_image_in_tool_result_is_kept(model: str) -> None:
    image = {"type": "image_url", "image_url": {"url": PIXEL_URL}}
    content = [{"type": "text", "text": "Here"}, image]
    sent = to_gemini(chat_with([calling("a", "b"), result("a", content), result("b")], model))
    inline = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    first, second, *rest = parts_of(sent, 2)
    assert first["functionResponse"]["response"] == {"result": "Here"}
    assert second["functionResponse"]["id"] == "b"
    if "gemini-3" in model:
        assert (first["functionResponse"]["parts"], rest) == ([inline], [])
    else:
        assert ("parts" in first["functionResponse"], rest) == (False, [inline])


def test_linked_image_in_tool_result_follows_it() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/harbor.jpg"}}
    result_part, media = parts_of(to_gemini(chat_with([calling("a"), result("a", [image])])), 2)
    assert "parts" not in result_part["functionResponse"]
    assert media == {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/harbor.jpg"}}


def test_call_without_result_and_result_without_call() -> None:
    messages = [calling("a", "b"), result("a"), {"role": "user", "content": "Go on"}, calling("c"), result("lost")]
    sent = to_gemini(chat_with(messages))
    assert [content["role"] for content in sent["contents"]] == ["user", "model", "user", "model", "user"]
    first, placeholder, text = parts_of(sent, 2)
    assert (first["functionResponse"]["id"], placeholder["functionResponse"]["id"]) == ("a", "b")
    assert text == {"text": "Go on"}
    placeholder, label, lost = parts_of(sent, 4)
    assert (placeholder["functionResponse"]["id"], lost) == ("c", {"text": "boats"})
    assert "lost" in label["text"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (None, {}),
        ("[1]", {}),
        ("oops", {}),
        ('"{\\"where\\":\\"river\\"}"', {"where": "river"}),
        ('{"where":"ri', {"where": "ri"}),
        ('{"where":"river","dep', {"where": "river"}),
        ('{"at":[{"x":1},{"x":2', {"at": [{"x": 1}, {"x": 2}]}),
        ('{"at":{"x":[1,2', {"at": {"x": [1, 2]}}),
        ('{"a":"}\\"],","b":tr', {"a": '}"],'}),
        ('{"a":1}{"b":2}', {}),
    ],
)
def test_torn_arguments_are_repaired(arguments: str | None, expected: dict[str, Any]) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": arguments}}
    sent = to_gemini(chat_with([{"role": "assistant", "tool_calls": [call]}, result("a")]))
    assert parts_of(sent, 1)[0]["functionCall"]["args"] == expected


def test_repeated_id_keeps_its_signature() -> None:
    (call,) = message_of(generated(function_calls(SIGNATURE)))["tool_calls"]
    turn = [calling(call["id"]), result(call["id"])]
    sent = to_gemini(chat_with([*turn, *turn]))
    calls = [parts_of(sent, turn)[0] for turn in (1, 3)]
    assert [part["thoughtSignature"] for part in calls] == [SIGNATURE, SIGNATURE]
    ids = [part["functionCall"]["id"] for part in calls]
    assert ids == [parts_of(sent, turn)[0]["functionResponse"]["id"] for turn in (2, 4)]
    assert len(set(ids)) == 2


def test_image_output_is_requested() -> None:
    config = {"aspect_ratio": "16:9", "image_size": "2K", "quality": "high"}
    sent = to_gemini(chat_with([], "gemini-3-pro-image-preview", modalities=["image", "text"], image_config=config))
    assert sent["generationConfig"] == {
        "responseModalities": ["IMAGE", "TEXT"],
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
    }
    assert "generationConfig" not in to_gemini(chat_with([], modalities=["text"]))


def test_limit_stays_within_model() -> None:
    assert to_gemini(chat_with([], max_tokens=99_999), 65_536)["generationConfig"] == {"maxOutputTokens": 65_536}
    assert to_gemini(chat_with([], max_tokens=99), 65_536)["generationConfig"] == {"maxOutputTokens": 99}
    assert "generationConfig" not in to_gemini(chat_with([], stop=[""]), 65_536)


def test_system_alone_is_a_turn() -> None:
    sent = to_gemini({"model": "gemini-3.8-flash", "messages": [{"role": "system", "content": "Greet"}]})
    assert sent == {"contents": [{"role": "user", "parts": [{"text": "Greet"}]}]}


def test_thinking_in_history_is_removed() -> None:
    said = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Boats"}],
        "reasoning_content": "Hm",
        "thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "c2ln"}],
    }
    assert parts_of(to_gemini(chat_with([said])), 1) == [{"text": "Boats"}]


# --- responses ------------------------------------------------------------------------------------------------------


def test_generated_image_is_returned_and_sent_back() -> None:
    inline = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    thought = {"thought": True, "inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    parts: list[dict[str, Any]] = [{"text": "Here"}, thought, inline | {"thoughtSignature": SIGNATURE}, inline]
    message = message_of(generated(parts))
    assert message["content"] == "Here"
    assert [(image["type"], image["image_url"]["url"], image["index"]) for image in message["images"]] == [
        ("image_url", PIXEL_URL, 0),
        ("image_url", PIXEL_URL, 1),
    ]
    sent = to_gemini(chat_with([message, {"role": "user", "content": "Bluer"}], "gemini-3-pro-image-preview"))
    assert parts_of(sent, 1) == [{"text": "Here"}, inline | {"thoughtSignature": SIGNATURE}, inline]


def test_generated_images_are_streamed() -> None:
    inline = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    chunks = streamed(generated([inline], None), generated([inline, {"text": "Here"}]))
    images = [image for delta in deltas_of(chunks) for image in delta.get("images", [])]
    assert images == [
        {"type": "image_url", "image_url": {"url": PIXEL_URL}, "index": 0},
        {"type": "image_url", "image_url": {"url": PIXEL_URL}, "index": 1},
    ]


def test_usage_of_images_is_stated() -> None:
    metadata = {
        "promptTokenCount": 1_000,
        "candidatesTokenCount": 1_300,
        "thoughtsTokenCount": 50,
        "cachedContentTokenCount": 400,
        "totalTokenCount": 2_350,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 400},
            {"modality": "IMAGE", "tokenCount": 500},
            {"modality": "AUDIO", "tokenCount": 100},
        ],
        "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 258}, {"modality": "AUDIO", "tokenCount": 32}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1_290}],
    }
    usage = from_gemini(generated([{"text": "Here"}]) | {"usageMetadata": metadata})["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1_000, 1_350, 2_350)
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 50, "audio_tokens": 0, "image_tokens": 1_290}
    assert usage["prompt_tokens_details"]["image_tokens"] == 500
    assert usage["prompt_tokens_details"]["cached_tokens_details"] == {"audio_tokens": 32, "image_tokens": 258}


def test_usage_so_far_is_known_when_client_leaves() -> None:
    translator = openai_to_gemini.StreamTranslator()
    for thoughts in (10, 250):
        usage = {"promptTokenCount": 9, "thoughtsTokenCount": thoughts}
        translator.translate({"candidates": [{"content": {}, "index": 0}], "usageMetadata": usage})
    settled = settle(
        translator.usage.stated,
        count_output=lambda: 0,
        estimate=lambda output: TokenCounts(input=1, output=output),
        is_final=translator.usage.is_final,
    )
    assert settled.tokens == TokenCounts(input=9, reasoning=250)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("IMAGE_PROHIBITED_CONTENT", "content_filter"),
        ("IMAGE_RECITATION", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("UNEXPECTED_TOOL_CALL", "stop"),
        ("TOO_MANY_TOOL_CALLS", "stop"),
        ("MALFORMED_RESPONSE", "stop"),
        ("MISSING_THOUGHT_SIGNATURE", "stop"),
        ("NO_IMAGE", "stop"),
        ("IMAGE_OTHER", "stop"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_reasons(reason: str, expected: str) -> None:
    response = generated([{"text": "I will look"}], reason, finishMessage="Malformed: look(")
    (choice,) = from_gemini(response)["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == (expected, "I will look")
    explains = reason not in {"STOP", "MAX_TOKENS", "SOMETHING_NEW"}
    refusal = choice["message"]["refusal"]
    assert ("Malformed: look(" in (refusal or "")) is explains
    *_, last = [choice for chunk in streamed(response) for choice in chunk["choices"]]
    assert last["finish_reason"] == expected
    refusals = [delta["refusal"] for delta in deltas_of(streamed(response)) if "refusal" in delta]
    assert refusals == ([refusal] if explains else [])


def test_calls_beside_failure_are_calls() -> None:
    (choice,) = from_gemini(generated(function_calls(SIGNATURE), "TOO_MANY_TOOL_CALLS"))["choices"]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("tool_calls", None)


def test_blocked_prompt_is_explained() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "Not this"}}
    (choice,) = from_gemini(blocked)["choices"]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "Not this")
    assert {"refusal": "Not this"} in deltas_of(streamed(blocked))


@pytest.mark.parametrize(
    "candidate",
    [
        {},
        {"content": None},
        {"content": {}},
        {"content": {"parts": None}},
        {"content": {"parts": []}},
        {"content": {"parts": [{}, {"executableCode": {"code": "1"}}, {"inlineData": {"mimeType": "audio/wav"}}]}},
    ],
)
def test_candidate_without_content_is_empty_choice(candidate: dict[str, Any]) -> None:
    response = {"candidates": [candidate | {"finishReason": "STOP"}]}
    (choice,) = from_gemini(response)["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", None)
    assert deltas_of(streamed(response)) == [{"role": "assistant", "content": ""}, {}]


def test_call_without_arguments_has_empty_object() -> None:
    response = generated([{"functionCall": {"name": "look"}}])
    (call,) = message_of(response)["tool_calls"]
    assert (call["function"], call["id"].startswith("call_")) == ({"name": "look", "arguments": "{}"}, True)
