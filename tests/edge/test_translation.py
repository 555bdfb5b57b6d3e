"""Between the protocols: recordings written after the providers' references, and what must survive a translation."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.recorded import RecordedChunks
from edge.untimed import untimed
from tollgate_common.rating import TokenCounts
from tollgate_edge.endpoints.messages import MessagesRequest, MessagesStream
from tollgate_edge.http.errors import ProviderFailed, ProviderRefused
from tollgate_edge.providers import anthropic, gemini
from tollgate_edge.providers.http_transport import ErrorResponse
from tollgate_edge.providers.translators import anthropic_to_openai, openai_to_anthropic, openai_to_gemini
from tollgate_edge.providers.translators.base import (
    EventTranslator,
    TranslatedChunks,
    translate_request_body,
    translate_response_body,
)
from tollgate_edge.providers.translators.shapes import MessagesShape
from tollgate_edge.streaming.chat_stream import ChatStream
from tollgate_edge.usage.merging import stated_classes

RECORDINGS = Path(__file__).parent / "recordings"
CUTS = st.lists(st.integers(0, 5_000), max_size=12)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """A provider's bytes, cut somewhere."""
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def translated_recording(data: bytes, translator: EventTranslator, cuts: list[int]) -> bytes:
    async def read_all() -> bytes:
        chunks = TranslatedChunks(RecordedChunks(cut(data, cuts)), translator)
        parts = []
        while (part := await chunks.read()) is not None:
            parts.append(part)
        return b"".join(parts)

    return asyncio.run(read_all())


def recording(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def chat_of(events: bytes) -> tuple[ChatStream, dict[str, Any]]:
    """A stream of chat completions, metered, and its one choice put together."""
    stream = ChatStream(strips_usage=False)
    handed_on = stream.feed(events) + stream.finish()
    told: dict[str, Any] = {"content": "", "reasoning_content": "", "calls": []}
    for event in handed_on.split(b"\n\n")[:-1]:
        for choice in json.loads(event.removeprefix(b"data: "))["choices"]:
            delta = choice["delta"]
            told["content"] += delta.get("content") or ""
            told["reasoning_content"] += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or ():
                if "id" in call:
                    assert call["index"] == len(told["calls"])
                    told["calls"].append({"id": call["id"], "name": call["function"]["name"], "arguments": ""})
                told["calls"][call["index"]]["arguments"] += call["function"]["arguments"]
    return stream, told


@untimed
@given(cuts=CUTS)
def test_messages_to_chat_is_independent_of_chunking(cuts: list[int]) -> None:
    stream, told = chat_of(
        translated_recording(recording("anthropic_messages.sse"), openai_to_anthropic.StreamTranslator(), cuts)
    )
    assert (stream.done, stream.finish_reason) == (True, "tool_calls")
    assert stream.served_model == "claude-sonnet-4-5-20250929"
    assert stated_classes(stream.usage.stated) == TokenCounts(
        input=472, cached_input=1500, cache_write=100, cache_write_1h=20, output=80, reasoning=9
    )
    assert told["content"] == 'Okay, let\'s "check" the weather for Zürich:'
    assert told["reasoning_content"] == "The user asks for the weather."
    (call,) = told["calls"]
    assert (call["id"], call["name"]) == ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather")
    assert json.loads(call["arguments"]) == {"location": "Zürich"}


@untimed
@given(cuts=CUTS)
def test_gemini_to_chat_is_independent_of_chunking(cuts: list[int]) -> None:
    stream, told = chat_of(
        translated_recording(recording("gemini_stream.sse"), openai_to_gemini.StreamTranslator(), cuts)
    )
    assert (stream.done, stream.finish_reason, stream.served_model) == (True, "tool_calls", "gemini-2.5-flash")
    assert stated_classes(stream.usage.stated) == TokenCounts(
        input=83, cached_input=1024, audio_input=100, output=25, reasoning=11
    )
    assert (told["content"], told["reasoning_content"]) == (
        'The sky over Zürich is "blue".',
        "Weighing the question.",
    )
    assert json.loads(told["calls"][0]["arguments"]) == {"location": "Zürich"}


@untimed
@given(cuts=CUTS)
def test_chat_to_messages_is_independent_of_chunking(cuts: list[int]) -> None:
    stream = MessagesStream()
    events = translated_recording(recording("openai_chat.sse"), anthropic_to_openai.StreamTranslator(), cuts)
    handed_on = stream.feed(events) + stream.finish()
    assert stream.done
    assert stream.last_event == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert (stream.finish_reason, stream.served_model) == ("tool_use", "gpt-4.1-2025-04-14")
    assert stated_classes(stream.usage.stated) == TokenCounts(input=70, cached_input=12, output=23, reasoning=4)
    kinds = [line[7:] for line in handed_on.decode().splitlines() if line.startswith("event: ")]
    assert kinds == [
        "message_start",
        *["content_block_start", "content_block_delta", "content_block_stop"],
        *["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"],
        "message_delta",
    ]


@untimed
@given(cuts=CUTS)
def test_messages_stream_is_independent_of_chunking(cuts: list[int]) -> None:
    data = recording("anthropic_messages.sse")
    stream = MessagesStream()
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    handed_on = b"".join(stream.feed(data[start:end]) for start, end in pairwise(bounds)) + stream.finish()
    assert handed_on + stream.last_event == data
    assert stream.done
    assert stated_classes(stream.usage.stated) == TokenCounts(
        input=472, cached_input=1500, cache_write=100, cache_write_1h=20, output=80, reasoning=9
    )
    assert stream.delivered_tokens() > 15


@pytest.mark.parametrize("keep", [3, 9, 15])
@pytest.mark.parametrize(
    ("name", "translator"),
    [
        ("anthropic_messages.sse", openai_to_anthropic.StreamTranslator),
        ("gemini_stream.sse", openai_to_gemini.StreamTranslator),
    ],
)
def test_broken_stream_is_never_complete(name: str, translator: Any, keep: int) -> None:
    events = recording(name).replace(b"\r\n", b"\n").split(b"\n\n")
    torn = b"\n\n".join(events[: min(keep, len(events) - 2)]) + b"\n\n"
    stream, _ = chat_of(translated_recording(torn, translator(), []))
    assert stream.failure is not None


@pytest.mark.parametrize(
    "translator",
    [openai_to_anthropic.StreamTranslator, openai_to_gemini.StreamTranslator, anthropic_to_openai.StreamTranslator],
)
@pytest.mark.parametrize(
    "data", [b"data: oops\n\n", b"data: [1]\n\n", b'data: {"type":"message_start"}\n\ndata: 7\n\n']
)
def test_garbage_is_provider_failure(translator: Any, data: bytes) -> None:
    with pytest.raises(ProviderFailed):
        translated_recording(data, translator(), [])


@pytest.mark.parametrize(
    ("translator", "data"),
    [
        (
            openai_to_anthropic.StreamTranslator,
            b'data: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
        ),
        (openai_to_gemini.StreamTranslator, b'data: {"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}\n\n'),
    ],
)
def test_error_event_is_provider_failure(translator: Any, data: bytes) -> None:
    stream, _ = chat_of(translated_recording(data, translator(), []))
    assert stream.failure is not None


# --- there and back -------------------------------------------------------------------------------------------------

texts = st.text(min_size=1, max_size=20).filter(str.strip)
arguments = st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5) | st.booleans(), max_size=3)
urls = st.sampled_from(["https://example.com/harbor.png", "data:image/png;base64,iVBORw0KGgo="])


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns that alternate, some with images, calls of tools and their results."""
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(texts)})
    for turn in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            messages.append({"role": "user", "content": draw(texts)})
        else:
            image = {"type": "image_url", "image_url": {"url": draw(urls)}}
            messages.append({"role": "user", "content": [{"type": "text", "text": draw(texts)}, image]})
        said: dict[str, Any] = {"role": "assistant", "content": draw(texts)}
        calls = draw(st.integers(0, 2))
        if calls:
            said["tool_calls"] = [
                {
                    "id": f"call_{turn}_{number}",
                    "type": "function",
                    "function": {"name": "look", "arguments": json.dumps(draw(arguments), separators=(",", ":"))},
                }
                for number in range(calls)
            ]
        messages.append(said)
        messages += [
            {"role": "tool", "tool_call_id": f"call_{turn}_{number}", "content": draw(texts)} for number in range(calls)
        ]
    return [*messages, {"role": "user", "content": draw(texts)}]


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": "look", "description": "d", "parameters": {"type": "object"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "stop": st.lists(texts, min_size=1, max_size=2),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "user": texts,
        "tools": st.just([tool]),
        "response_format": st.just(schema),
    }
    chosen = draw(st.fixed_dictionaries({}, optional=optional))
    if "tools" in chosen:
        choices = ["auto", "required", "none", {"type": "function", "function": {"name": "look"}}]
        chosen["tool_choice"] = draw(st.sampled_from(choices))
    limit = draw(st.integers(1, 5_000))
    return {"model": "m", "messages": draw(conversations()), "max_completion_tokens": limit, **chosen}


def meaning(chat: dict[str, Any]) -> dict[str, Any]:
    """A chat with arguments as values, whose spaces and escapes say nothing."""
    known = json.loads(json.dumps(chat))
    for message in known["messages"]:
        for call in message.get("tool_calls") or ():
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return dict(known)


@untimed
@given(chat=chats())
def test_request_round_trip(chat: dict[str, Any]) -> None:
    there = translate_request_body(json.dumps(chat).encode(), openai_to_anthropic.translate_request)
    # It is one that the edge's own endpoint takes.
    assert MessagesRequest(there, {}).model == "m"
    back = json.loads(translate_request_body(there, anthropic_to_openai.translate_request))
    assert meaning(back) == meaning(chat)


@untimed
@given(
    text=texts,
    made=st.lists(arguments, max_size=2),
    reason=st.sampled_from(["stop", "length", "content_filter"]),
    # A prompt has tokens; one without is not stated.
    parts=st.tuples(st.integers(1, 1_000), *[st.integers(0, 1_000)] * 4),
)
def test_response_round_trip(text: str, made: list[dict[str, Any]], reason: str, parts: tuple[int, ...]) -> None:
    fresh, read, written, output, thought = parts
    calls = [
        {"id": f"c{number}", "type": "function", "function": {"name": "look", "arguments": json.dumps(one)}}
        for number, one in enumerate(made)
    ]
    message = {"role": "assistant", "content": text, "refusal": None} | ({"tool_calls": calls} if calls else {})
    usage = {
        "prompt_tokens": fresh + read + written,
        "completion_tokens": output + thought,
        "total_tokens": fresh + read + written + output + thought,
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_write_tokens": written,
            "cache_write_1h_tokens": 0,
            "audio_tokens": 0,
            "image_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": 0, "image_tokens": 0},
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if calls else reason}
    completion = {"id": "c-1", "model": "gpt-4o", "object": "chat.completion", "choices": [choice], "usage": usage}
    there = translate_response_body(json.dumps(completion).encode(), anthropic_to_openai.translate_response)
    back = json.loads(translate_response_body(there, openai_to_anthropic.translate_response))
    del back["created"]
    for one in (back, completion):
        for call in one["choices"][0]["message"].get("tool_calls") or ():  # type: ignore[index]
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert back == completion


# --- Gemini's requests and answers ----------------------------------------------------------------------------------


def test_request_to_gemini() -> None:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": '{"where":"harbor"}'},
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    }
    chat = {
        "model": "gemini-2.5-flash",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Boats"},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "max_tokens": 99,
        "stop": "!",
        "n": 2,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    }
    assert json.loads(translate_request_body(json.dumps(chat).encode(), openai_to_gemini.translate_request)) == {
        "systemInstruction": {"parts": [{"text": "Be brief"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "Look"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {
                        "functionCall": {"id": "call_1", "name": "look", "args": {"where": "harbor"}},
                        "thoughtSignature": "c2ln",
                    }
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "call_1", "name": "look", "response": {"result": "Boats"}}},
                    {"text": "And now?"},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
        "generationConfig": {
            "maxOutputTokens": 99,
            "stopSequences": ["!"],
            "candidateCount": 2,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingBudget": 1024},
        },
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
        "https://www.youtube.com/watch?v=abc",
        "https://youtu.be/abc",
        "https://generativelanguage.googleapis.com./v1beta/files/abc",
        "gs://bucket/a.png",
        "data:video/mp4;base64,AAAA",
        "data:application/pdf;base64,AAAA",
    ],
)
def test_gemini_rejects_non_images_and_google_urls(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [part]}]}).encode()
    with pytest.raises(ProviderRefused) as caught:
        translate_request_body(body, openai_to_gemini.translate_request)
    assert (caught.value.status, caught.value.param) == (400, "messages")


def test_blocked_prompt_is_filtered_choice() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8}}
    answer = json.loads(translate_response_body(json.dumps(blocked).encode(), openai_to_gemini.translate_response))
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (8, 0)


@pytest.mark.parametrize("nothing", ["", " \n", [{"type": "text", "text": ""}]])
def test_blank_texts_are_removed_for_messages(nothing: Any) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": nothing},
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": nothing, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": nothing},
    ]
    asked = json.loads(
        translate_request_body(
            json.dumps({"model": "m", "messages": messages}).encode(), openai_to_anthropic.translate_request
        )
    )
    assert "system" not in asked
    assert [turn["content"] for turn in asked["messages"]] == [
        [{"type": "text", "text": "Look"}],
        [{"type": "tool_use", "id": "call_1", "name": "look", "input": {}}],
        [{"type": "tool_result", "tool_use_id": "call_1"}],
    ]


def test_blank_system_is_removed_for_gemini() -> None:
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": "Look"}]
    asked = json.loads(
        translate_request_body(
            json.dumps({"model": "m", "messages": messages}).encode(), openai_to_gemini.translate_request
        )
    )
    assert "systemInstruction" not in asked


def test_maximum_effort_is_translated() -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "max"}
    to_claude, to_gemini = (
        json.loads(translate_request_body(json.dumps(chat).encode(), translate))
        for translate in (openai_to_anthropic.translate_request, openai_to_gemini.translate_request)
    )
    assert to_claude["output_config"] == {"effort": "max"}
    assert to_gemini["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 24_576}


@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "custom"}])
def test_tool_without_type_is_client_tool(kind: dict[str, Any]) -> None:
    tool = {"name": "look", "input_schema": {"type": "object"}, **kind}
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "tools": [tool]}
    chat = json.loads(
        translate_request_body(json.dumps(asked).encode(), anthropic_to_openai.translate_request, MessagesShape)
    )
    assert chat["tools"] == [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("translate", [openai_to_anthropic.translate_request, openai_to_gemini.translate_request])
@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
        ({"functions": [{"name": "look", "parameters": {}}]}, "functions"),
        ({"function_call": {"name": "look"}}, "function_call"),
        ({"messages": [{"role": "function", "name": "look", "content": "Boats"}]}, "messages"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "look", "arguments": "{}"}}]}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 1}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"tools": "look"}, "tools"),
        ({"response_format": "json"}, "response_format"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function"),
    ],
)
def test_untranslatable_request_is_rejected(translate: Any, more: dict[str, Any], param: str | None) -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more}
    with pytest.raises(ProviderRefused) as caught:
        translate_request_body(json.dumps(chat).encode(), translate)
    assert (caught.value.status, caught.value.param, caught.value.sent) == (400, param, False)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"system": 5}, "system"),
        ({"messages": [{"content": "Hi"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": "x"}]}]},
            "messages[0].content[0].source",
        ),
        ({"tools": [{"name": "look"}]}, "tools[0]"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"metadata": "me"}, "metadata"),
        ({"output_config": {"format": {"type": "json_schema"}}}, None),
    ],
)
def test_invalid_shape_is_rejected_by_name(more: dict[str, Any], param: str | None) -> None:
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **more}
    with pytest.raises(ProviderRefused) as caught:
        translate_request_body(json.dumps(asked).encode(), anthropic_to_openai.translate_request, MessagesShape)
    assert (caught.value.status, caught.value.param, caught.value.sent) == (400, param, False)


def test_deep_nesting_is_rejected() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    with pytest.raises(ProviderRefused) as caught:
        translate_request_body(body, openai_to_anthropic.translate_request)
    assert (caught.value.status, caught.value.sent) == (400, False)


def test_images_in_tool_results_are_kept() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    found = {"type": "tool_reference", "tool_name": "look"}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Here: "}, found, image]}
    said = [result, {"type": "text", "text": "And now?"}]
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": said}]}
    chat = json.loads(
        translate_request_body(json.dumps(asked).encode(), anthropic_to_openai.translate_request, MessagesShape)
    )
    assert chat["messages"] == [
        {"role": "tool", "tool_call_id": "t", "content": "Here: look"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    "translate",
    [
        openai_to_anthropic.translate_response,
        openai_to_gemini.translate_response,
        anthropic_to_openai.translate_response,
    ],
)
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"content":7,"candidates":7,"choices":7}'])
def test_invalid_response_is_provider_failure(translate: Any, body: bytes) -> None:
    with pytest.raises(ProviderFailed):
        translate_response_body(body, translate)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, '{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"}}', 400),
        (
            400,
            '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}',
            502,
        ),
        (401, '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}', 502),
        (429, '{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}', 429),
        (529, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', 503),
        (500, "<html>", 500),
    ],
)
def test_anthropic_errors(status: int, body: str, told: int) -> None:
    error = anthropic.to_provider_error(ErrorResponse(status, body.encode(), "3"))
    assert (error.status, error.upstream_status, error.retry_after_s) == (told, status, 3.0)
    assert ("x-api-key" in str(error), "credit" in str(error)) == (False, False)


@pytest.mark.parametrize(
    ("status", "body", "told", "code"),
    [
        (400, '{"error":{"code":400,"message":"Bad schema","status":"INVALID_ARGUMENT"}}', 400, "invalid_argument"),
        (
            400,
            '{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}',
            502,
            "provider_error",
        ),
        (403, '{"error":{"code":403,"message":"No","status":"PERMISSION_DENIED"}}', 502, "provider_error"),
        (429, '{"error":{"code":429,"message":"Slow","status":"RESOURCE_EXHAUSTED"}}', 429, "resource_exhausted"),
        (503, "oops", 503, ""),
    ],
)
def test_gemini_errors(status: int, body: str, told: int, code: str) -> None:
    error = gemini.to_provider_error(ErrorResponse(status, body.encode(), None))
    assert (error.status, error.upstream_status, error.code) == (told, status, code)
