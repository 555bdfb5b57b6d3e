"""Anthropic's Messages on OpenAI's models and on compatible servers: what agents send and what the servers answer."""

import json
from typing import Any

import pytest

from tollgate_edge.endpoints.messages import MessagesRequest, MessagesStream
from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.providers.base import JSON, Operation, ProviderRequest, ProviderResponse
from tollgate_edge.providers.messages_via_chat import MessagesViaChat
from tollgate_edge.providers.translators import anthropic_to_openai, anthropic_to_responses
from tollgate_edge.providers.translators.base import Json
from tollgate_edge.providers.translators.foreign_thinking import without_foreign_thinking
from tollgate_edge.providers.translators.messages_context import COMPATIBLE, OPENAI, Dialect, MessagesContext
from tollgate_edge.usage.merging import NOTHING_STATED, stated_classes

HI = [{"role": "user", "content": "Hi"}]
TOOL: Json = {"name": "look", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}}}
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


def asked(**more: Any) -> Json:
    return {"model": "gpt-4o", "max_tokens": 100, "messages": HI, **more}


def chat_of(dialect: Dialect = OPENAI, longest: int | None = None, **more: Any) -> Json:
    return anthropic_to_openai.translate_request(asked(**more), MessagesContext(dialect, longest))


def responses_of(longest: int | None = None, **more: Any) -> Json:
    return anthropic_to_responses.translate_request(asked(**more), MessagesContext(OPENAI, longest))


def completion(message: Json, finish_reason: str = "stop", **more: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": None} | message, "finish_reason": finish_reason}
    return {"id": "c-1", "model": "served", "choices": [choice], "usage": USAGE, **more}


def call(arguments: Any, **more: Any) -> Json:
    made: Json = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    return made | more


def answer(message: Json, finish_reason: str = "stop", **more: Any) -> Json:
    return anthropic_to_openai.translate_response(completion(message, finish_reason, **more))


def events_of(data: bytes) -> list[Json]:
    return [json.loads(part.split(b"data: ", 1)[1]) for part in data.split(b"\n\n")[:-1]]


def streamed(*deltas: Json, finish_reason: str = "stop", usage: Json | None = None) -> list[Json]:
    """The events of a chat completion with these deltas."""
    translator = anthropic_to_openai.StreamTranslator()
    chunks: list[Json] = [
        {"id": "c-1", "model": "served", "choices": [{"index": 0, "delta": delta}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
    if usage is not None:
        chunks.append({"choices": [], "usage": usage})
    return events_of(b"".join(map(translator.translate, chunks)) + translator.finish())


def message_of(events: list[Json]) -> Json:
    """The message that an SDK puts together from its events; blocks must follow one another."""
    message: Json = {"content": []}
    is_open = False
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(message["content"])
                is_open = True
                message["content"].append(dict(event["content_block"], json=""))
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(message["content"]) - 1
                block, delta = message["content"][-1], event["delta"]
                name = {"input_json_delta": "partial_json", "text_delta": "text"}.get(delta["type"], delta["type"][:-6])
                block["json" if name == "partial_json" else name] += delta[name]
            case "content_block_stop":
                assert is_open
                is_open = False
            case "message_delta":
                message |= event["delta"] | {"usage": event["usage"]}
    assert not is_open
    for block in message["content"]:
        arguments = block.pop("json")
        if arguments:
            block["input"] = json.loads(arguments)
    return message


# --- the request ----------------------------------------------------------------------------------------------------


def test_limit_is_at_most_the_models() -> None:
    assert chat_of(longest=50)["max_completion_tokens"] == 50
    assert chat_of(longest=500)["max_completion_tokens"] == 100
    assert responses_of(longest=50)["max_output_tokens"] == 50
    assert responses_of(max_tokens=1)["max_output_tokens"] == 16


def test_long_user_becomes_a_digest() -> None:
    long = json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": "s" * 36})
    (user, again) = (chat_of(metadata={"user_id": long})["user"] for _ in range(2))
    assert len(user) == 64
    assert user == again == responses_of(metadata={"user_id": long})["user"]
    assert chat_of(metadata={"user_id": "user-7"})["user"] == "user-7"


def test_tool_names_fit_and_map_back() -> None:
    names = ["mcp__harbor__" + "x" * 80 + end for end in "ab"] + ["mcp.look", "look"]
    context = MessagesContext(OPENAI)
    history = [{"type": "tool_use", "id": "t", "name": names[0], "input": {}}]
    result = [{"type": "tool_result", "tool_use_id": "t", "content": "Boats"}]
    messages = [*HI, {"role": "assistant", "content": history}, {"role": "user", "content": result}]
    chat = anthropic_to_openai.translate_request(
        asked(
            tools=[TOOL | {"name": name} for name in names],
            tool_choice={"type": "tool", "name": names[1]},
            messages=messages,
        ),
        context,
    )
    sent = [tool["function"]["name"] for tool in chat["tools"]]
    assert len(set(sent)) == 4
    assert all(len(name) <= 64 and name.replace("_", "").isalnum() for name in sent)
    assert chat["messages"][1]["tool_calls"][0]["function"]["name"] == sent[0]
    assert chat["tool_choice"]["function"]["name"] == sent[1]
    function = {"name": sent[1], "arguments": "{}"}
    message = {"tool_calls": [{"id": "c", "type": "function", "function": function}]}
    answered = anthropic_to_openai.translate_response(completion(message), context)
    assert answered["content"][0]["name"] == names[1]
    assert (
        anthropic_to_openai.translate_request(asked(tools=[TOOL | {"name": names[0]}]))["tools"][0]["function"]["name"]
        == names[0]
    )


def test_ids_map_in_both_directions() -> None:
    kimi = answer({"tool_calls": [call("{}", id="functions.look:0")]})["content"][0]["id"]
    assert kimi.replace("_", "").replace("-", "").isalnum()
    long = "toolu_" + "x" * 60

    def history(call_id: str) -> list[Json]:
        use = {"type": "tool_use", "id": call_id, "name": "look", "input": {}}
        result = {"type": "tool_result", "tool_use_id": call_id, "content": "Boats"}
        return [*HI, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]

    def ids(chat: Json) -> tuple[str, str]:
        return chat["messages"][1]["tool_calls"][0]["id"], chat["messages"][2]["tool_call_id"]

    assert ids(chat_of(COMPATIBLE, messages=history(kimi))) == ("functions.look:0",) * 2
    first, second = ids(chat_of(OPENAI, messages=history(long)))
    assert first == second
    assert len(first) <= 40
    assert ids(chat_of(COMPATIBLE, messages=history(long))) == (long, long)
    assert responses_of(messages=history(long))["input"][1]["call_id"] == first
    assert answer({"tool_calls": [call("{}", id=None)]})["content"][0]["id"].startswith("call_")
    repeated = answer({"tool_calls": [call("{}"), call("{}")]})["content"]
    assert repeated[0]["id"] != repeated[1]["id"]


def test_system_messages_in_the_middle_stay_instructions() -> None:
    use = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "Boats"}
    messages = [
        *HI,
        {"role": "system", "content": [{"type": "text", "text": "Be brief"}]},
        {"role": "assistant", "content": [use]},
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": [result, {"type": "text", "text": "And?"}]},
        {"role": "system", "content": "Be done"},
    ]
    turns = chat_of(system="Be", messages=messages)["messages"]
    assert [(turn["role"], turn.get("content")) for turn in turns] == [
        ("system", "Be"),
        ("user", "Hi"),
        ("system", "Be brief"),
        ("assistant", None),
        ("tool", "Boats"),
        ("system", "Be kind"),
        ("user", "And?"),
        ("system", "Be done"),
    ]
    request = responses_of(system="Be", messages=messages)
    assert request["instructions"] == "Be"
    assert [item["content"] for item in request["input"] if item.get("role") == "developer"] == [
        "Be brief",
        "Be kind",
        "Be done",
    ]


def test_text_documents_become_text() -> None:
    plain = {
        "type": "document",
        "title": "Tides",
        "source": {"type": "text", "media_type": "text/plain", "data": "Low"},
    }
    blocks = {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "High"}]}}
    found = {"type": "search_result", "source": "https://x", "title": "Y", "content": [{"type": "text", "text": "Z"}]}
    (turn,) = chat_of(messages=[{"role": "user", "content": [plain, blocks, found]}])["messages"]
    assert turn["content"] == "Tides\nLowHighY\nZ"
    (item,) = responses_of(messages=[{"role": "user", "content": [plain, blocks]}])["input"]
    assert item["content"] == [{"type": "input_text", "text": "Tides\nLow"}, {"type": "input_text", "text": "High"}]


def test_failed_results_and_empty_content() -> None:
    results = [
        {"type": "tool_result", "tool_use_id": "a", "content": "no such file", "is_error": True},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True},
        {"type": "tool_result", "tool_use_id": "c"},
        {"type": "tool_result", "tool_use_id": "d", "content": "Error: broken", "is_error": True},
    ]
    messages = [*HI, {"role": "assistant", "content": []}, {"role": "user", "content": results}]
    turns = chat_of(messages=messages)["messages"]
    texts = ["Error: no such file", "Error", "", "Error: broken"]
    assert [turn["content"] for turn in turns] == ["Hi", *texts]
    assert [item["output"] for item in responses_of(messages=messages)["input"][1:]] == texts


def test_server_tools_in_the_history_become_text() -> None:
    content = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "tides"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": [
                {"type": "web_search_result", "title": "Tides", "url": "https://tides", "encrypted_content": "E"}
            ],
        },
        {"type": "redacted_thinking", "data": "R"},
        {"type": "text", "text": "Low."},
    ]
    messages = [*HI, {"role": "assistant", "content": content}]
    assert chat_of(messages=messages)["messages"][1]["content"] == "Tides https://tidesLow."
    texts = [item["content"][0]["text"] for item in responses_of(messages=messages)["input"][1:]]
    assert texts == ["Tides https://tides", "Low."]


def test_stops_and_choices() -> None:
    stops = list("abcdef")
    assert chat_of(OPENAI, stop_sequences=stops)["stop"] == stops[:4]
    assert chat_of(COMPATIBLE, stop_sequences=stops)["stop"] == stops
    choice = {"type": "any", "disable_parallel_tool_use": True}
    for translated in (chat_of(tools=[TOOL], tool_choice=choice), responses_of(tools=[TOOL], tool_choice=choice)):
        assert (translated["tool_choice"], translated["parallel_tool_calls"]) == ("required", False)
    for translated in (chat_of(tool_choice=choice), responses_of(tool_choice=choice)):
        assert "tool_choice" not in translated
        assert "parallel_tool_calls" not in translated


@pytest.mark.parametrize(("signature", "field"), [("", "reasoning_content"), ("reasoning", "reasoning")])
def test_thinking_returns_with_tool_calls(signature: str, field: str) -> None:
    thinking = {"type": "thinking", "thinking": "Hm", "signature": signature}
    use = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    messages = [
        *HI,
        {"role": "assistant", "content": [thinking, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "Boats"}]},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "Boats."}]},
    ]
    turns = chat_of(COMPATIBLE, messages=messages)["messages"]
    assert turns[1][field] == "Hm"
    assert field not in turns[3]
    assert field not in chat_of(OPENAI, messages=messages)["messages"][1]


# --- the response ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finish_reason", ["stop", "tool_calls", "function_call", ""])
def test_any_call_is_tool_use(finish_reason: str) -> None:
    message = answer({"tool_calls": [call('{"where":"river"}')]}, finish_reason)
    assert message["stop_reason"] == "tool_use"
    assert message["content"] == [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"where": "river"}}]
    assert answer({"content": "Hi"})["stop_reason"] == "end_turn"
    events = streamed({"tool_calls": [call("{}", index=0)]}, finish_reason=finish_reason or "stop")
    assert message_of(events)["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ('{"where":"ri', {"where": "ri"}),
        ("", {}),
        ("{", {}),
        ({"where": "river"}, {"where": "river"}),
        ('"{\\"where\\":\\"river\\"}"', {"where": "river"}),
        ("oops", {}),
    ],
)
def test_call_cut_off_at_the_limit(arguments: Any, read: Json) -> None:
    message = answer({"tool_calls": [call(arguments)]}, "length")
    assert (message["stop_reason"], message["content"][0]["input"]) == ("max_tokens", read)
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (20, 10)


def test_legacy_function_call() -> None:
    function = {"name": "look", "arguments": '{"where":"river"}'}
    message = answer({"function_call": function}, "function_call")
    streamed_message = message_of(
        streamed(
            {"function_call": {"name": "look", "arguments": ""}},
            {"function_call": {"arguments": '{"where":'}},
            {"function_call": {"arguments": '"river"}'}},
            finish_reason="function_call",
        )
    )
    for answered in (message, streamed_message):
        assert answered["stop_reason"] == "tool_use"
        assert (answered["content"][0]["name"], answered["content"][0]["input"]) == ("look", {"where": "river"})


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_thinking(field: str) -> None:
    thoughts = {field: "Hm", "reasoning_details": [{"type": "reasoning.encrypted", "data": "X"}]}
    whole = answer(thoughts | {"content": "Boats"})["content"]
    both = streamed({"reasoning": "Hm", field: "Hm", "reasoning_details": [{}]}, {"content": "Boats"})
    assert whole == [
        {"type": "thinking", "thinking": "Hm", "signature": field},
        {"type": "text", "text": "Boats"},
    ]
    assert [(block["type"], block.get("thinking")) for block in message_of(both)["content"]] == [
        ("thinking", "Hm"),
        ("text", None),
    ]
    assert message_of(streamed(thoughts))["content"][0] == whole[0]
    mistral = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Boats"}]
    assert [block["type"] for block in answer({"content": mistral})["content"]] == ["thinking", "text"]


def part(arguments: Any, index: int | None = None, call_id: str | None = None, name: str | None = None) -> Json:
    made: Json = {"function": {"arguments": arguments}}
    made |= {"index": index} if index is not None else {}
    made |= {"id": call_id} if call_id else {}
    made["function"] |= {"name": name} if name else {}
    return {"tool_calls": [made]}


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param(
            [part("", 0, "a", "look"), part('{"n":', 0), part("1}", 0), part('{"n":2}', 1, "b", "look")], id="in order"
        ),
        pytest.param(
            [
                part("", 0, "a", "look"),
                part("", 1, "b", "look"),
                part('{"n"', 1),
                part('{"n":', 0),
                part(":2}", 1),
                part("1}", 0),
            ],
            id="alternating",
        ),
        pytest.param([part('{"n":1}', 0, None, "look"), part('{"n":2}', 1, None, "look")], id="without ids"),
        pytest.param([part({"n": 1}, None, None, "look"), part({"n": 2}, None, None, "look")], id="objects alone"),
        pytest.param(
            [part('{"n"', None, "a", "look"), part(":1}"), part('{"n":', None, "b", "look"), part("2}")],
            id="without indexes",
        ),
        pytest.param([part('{"n":1}', 0, "a", "look"), part('{"n":2}', 0, "b", "look")], id="one index for all"),
        pytest.param([part('{"n":1}', 0, "a", "look"), part('{"n":2}', 1, "a", "look")], id="one id for all"),
        pytest.param(
            [part('{"n"', 0, "a", "look"), part(":1}", 0, "a", "look"), part('{"n":2}', 1, "b", "look")],
            id="repeated head",
        ),
    ],
)
def test_several_calls_are_consecutive_blocks(deltas: list[Json]) -> None:
    message = message_of(streamed({"content": "Two:"}, *deltas, finish_reason="tool_calls"))
    assert [block["type"] for block in message["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["input"] for block in message["content"][1:]] == [{"n": 1}, {"n": 2}]
    assert len({block["id"] for block in message["content"][1:]}) == 2
    assert message["stop_reason"] == "tool_use"


def test_calls_are_sent_as_they_arrive() -> None:
    translator = anthropic_to_openai.StreamTranslator()

    def send(delta: Json) -> list[str]:
        return [event["type"] for event in events_of(translator.translate({"choices": [{"delta": delta}]}))]

    assert send(part("", 0, "a", "look")) == ["message_start", "content_block_start"]
    assert send(part('{"n":', 0)) == ["content_block_delta"]
    assert send(part("", 1, "b", "look")) == []
    assert send(part("1}", 0)) == ["content_block_delta", "content_block_stop", "content_block_start"]
    assert send({"content": "And"}) == []
    assert send(part("{}", 1)) == [
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}])
def test_usage_is_estimated_where_none_is_stated(usage: Json | None) -> None:
    body = json.dumps(asked(system="Be brief", tools=[TOOL])).encode()
    request = MessagesRequest(body, {})
    context = MessagesContext(OPENAI)
    anthropic_to_openai.translate_request(json.loads(body), context)
    content = {"content": "Boats go by.", "tool_calls": [call('{"where":"river"}')]}
    message = anthropic_to_openai.translate_response(completion(content) | {"usage": usage}, context)
    parsed = request.parse_response(json.dumps(message).encode())
    assert parsed.estimated
    assert parsed.tokens is not None
    assert (parsed.tokens.input, parsed.tokens.output) == (
        message["usage"]["input_tokens"],
        message["usage"]["output_tokens"],
    )
    assert message["usage"]["input_tokens"] > 10
    assert message["usage"]["estimated"] is True

    translator = anthropic_to_openai.StreamTranslator(context)
    deltas = [{"content": "Boats "}, {"content": "go by."}, part('{"where":"river"}', 0, "a", "look")]
    chunks: list[Json] = [{"choices": [{"delta": delta}], "usage": usage} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    data = b"".join(map(translator.translate, chunks)) + translator.finish()
    stream = MessagesStream()
    stream.feed(data)
    stated = message_of(events_of(data))["usage"]
    assert stream.done
    assert stream.usage.stated == translator.usage.stated == NOTHING_STATED
    assert (stated["input_tokens"], stated["output_tokens"], stated["estimated"]) == (
        request.count_prompt(),
        stream.delivered_tokens(),
        True,
    )


def test_error_in_a_stream_keeps_the_providers_words() -> None:
    translator = anthropic_to_openai.StreamTranslator()
    stream = MessagesStream()
    stream.feed(translator.translate({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}))
    assert stream.failure is not None
    assert (str(stream.failure), stream.failure.code) == ("slow down", "rate_limit_exceeded")
    assert translator.finish() == b""


# --- models that reason ---------------------------------------------------------------------------------------------


class Asked:
    """A provider that records what it is asked and responds with one body."""

    name = "openai"
    operations = frozenset({Operation.CHAT, Operation.RESPONSES})

    def __init__(self, body: Json) -> None:
        self.requests: list[ProviderRequest] = []
        self._body = body

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        self.requests.append(request)
        return ProviderResponse(json.dumps(self._body).encode(), JSON)

    def stream(self, request: ProviderRequest) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


REASONED: Json = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "error": None,
    "model": "gpt-5.5-2026-04-01",
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm"}, {"type": "summary_text", "text": "Ah"}],
            "encrypted_content": "gAAAA+/=",
        },
        {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Let me look."}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"where":"river"}'},
    ],
    "usage": {
        "input_tokens": 50,
        "input_tokens_details": {"cached_tokens": 30},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 12},
        "total_tokens": 70,
    },
}


@pytest.mark.parametrize(
    ("dialect", "reasons", "model", "operation"),
    [
        (OPENAI, True, "gpt-5.5", Operation.RESPONSES),
        (OPENAI, True, "gpt-5.3-chat-latest", Operation.CHAT),
        (OPENAI, False, "gpt-4o", Operation.CHAT),
        (COMPATIBLE, True, "deepseek-v4", Operation.CHAT),
    ],
)
async def test_models_that_reason_use_responses(
    dialect: Dialect, reasons: bool, model: str, operation: Operation
) -> None:
    body = REASONED if operation is Operation.RESPONSES else completion({"content": "Hi"})
    provider = Asked(body)
    request = ProviderRequest(
        Operation.MESSAGES, model, json.dumps(asked(model=model, tools=[TOOL])).encode(), reasons=reasons
    )
    response = await MessagesViaChat(provider, dialect).complete(request)
    assert json.loads(response.body)["type"] == "message"
    assert [one.operation for one in provider.requests] == [operation]


def test_request_to_responses() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "From Claude", "signature": "EqQB"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"where": "river"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "See:"}, image]}
            ],
        },
    ]
    request = responses_of(
        model="gpt-5.5",
        messages=messages,
        tools=[TOOL | {"description": "Looks"}],
        tool_choice={"type": "tool", "name": "look"},
        temperature=0.5,
        top_p=0.5,
        stop_sequences=["x"],
        stream=True,
        thinking={"type": "adaptive"},
        output_config={"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    assert request == {
        "model": "gpt-5.5",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Look"}, picture]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
            {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"where":"river"}'},
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [{"type": "input_text", "text": "See:"}, picture],
            },
        ],
        "max_output_tokens": 100,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "xhigh", "summary": "auto"},
        "tools": [
            {
                "type": "function",
                "name": "look",
                "description": "Looks",
                "parameters": TOOL["input_schema"],
                "strict": False,
            }
        ],
        "tool_choice": {"type": "function", "name": "look"},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}},
        "stream": True,
    }


@pytest.mark.parametrize(
    ("more", "reasoning"),
    [
        ({}, None),
        ({"output_config": {"effort": "low"}}, {"effort": "low"}),
        ({"output_config": {"effort": "max"}, "model": "o3"}, {"effort": "high"}),
        ({"thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1_024}}, {"effort": "low", "summary": "auto"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 31_999}}, {"effort": "high", "summary": "auto"}),
    ],
)
def test_effort(more: Json, reasoning: Json | None) -> None:
    assert responses_of(**more).get("reasoning") == reasoning


def test_thinking_returns_as_its_encrypted_item() -> None:
    message = anthropic_to_responses.translate_response(REASONED, MessagesContext(OPENAI))
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    assert message["content"][0]["thinking"] == "Hm\n\nAh"
    assert message["stop_reason"] == "tool_use"
    usage = MessagesRequest(json.dumps(asked()).encode(), {}).parse_response(json.dumps(message).encode())
    assert not usage.estimated
    assert usage.tokens is not None
    assert (usage.tokens.input, usage.tokens.cached_input, usage.tokens.output, usage.tokens.reasoning) == (
        20,
        30,
        8,
        12,
    )
    back = responses_of(messages=[*HI, {"role": "assistant", "content": message["content"]}])["input"]
    assert back[1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm\n\nAh"}],
        "encrypted_content": "gAAAA+/=",
    }
    assert [item["type"] for item in back[1:]] == ["reasoning", "message", "function_call"]


@pytest.mark.parametrize(
    ("reason", "stop"), [("max_output_tokens", "max_tokens"), ("content_filter", "refusal"), (None, "tool_use")]
)
def test_incomplete_response(reason: str | None, stop: str) -> None:
    response = REASONED | {"status": "incomplete", "incomplete_details": {"reason": reason}}
    assert anthropic_to_responses.translate_response(response, MessagesContext(OPENAI))["stop_reason"] == stop


def test_failed_response_is_provider_failure() -> None:
    failed = {"status": "failed", "error": {"code": "server_error", "message": "oops"}, "output": []}
    with pytest.raises(ProviderFailed, match="oops"):
        anthropic_to_responses.translate_response(failed, MessagesContext(OPENAI))


def responses_events(end: str = "response.completed", **more: Any) -> list[Json]:
    reasoning, text, function = REASONED["output"]
    hidden = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBBB"}
    started = REASONED | {"status": "in_progress", "output": [], "usage": None}
    return [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": reasoning | {"encrypted_content": "g"}},
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0, "part": {}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Hm"},
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1, "part": {}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "Ah"},
        {"type": "response.output_item.done", "output_index": 0, "item": reasoning},
        {"type": "response.output_item.added", "output_index": 1, "item": hidden | {"encrypted_content": ""}},
        {"type": "keepalive", "sequence_number": 9},
        {"type": "response.output_item.done", "output_index": 1, "item": hidden},
        {"type": "response.output_item.added", "output_index": 2, "item": text | {"content": []}},
        {"type": "response.content_part.added", "output_index": 2, "content_index": 0, "part": {}},
        {"type": "response.output_text.delta", "output_index": 2, "content_index": 0, "delta": "Let me "},
        {"type": "response.output_text.delta", "output_index": 2, "content_index": 0, "delta": "look."},
        {"type": "response.output_item.done", "output_index": 2, "item": text},
        {"type": "response.output_item.added", "output_index": 3, "item": function | {"arguments": ""}},
        {"type": "response.output_item.added", "output_index": 4, "item": function | {"call_id": "b", "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 4, "delta": "{}"},
        {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '{"where":'},
        {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '"river"}'},
        {"type": "response.output_item.done", "output_index": 3, "item": function},
        {"type": "response.output_item.done", "output_index": 4, "item": function | {"arguments": "{}"}},
        {"type": end, "response": REASONED | more},
    ]


def responses_stream(events: list[Json]) -> tuple[MessagesStream, list[Json], anthropic_to_responses.StreamTranslator]:
    translator = anthropic_to_responses.StreamTranslator(MessagesContext(OPENAI))
    data = b"".join(map(translator.translate, events)) + translator.finish()
    stream = MessagesStream()
    stream.feed(data)
    return stream, events_of(data), translator


def test_responses_stream() -> None:
    stream, events, translator = responses_stream(responses_events())
    message = message_of(events)
    whole = anthropic_to_responses.translate_response(REASONED, MessagesContext(OPENAI))
    thinking, text, use = whole["content"]
    hidden = {"type": "thinking", "thinking": "", "signature": "openai_reasoning:rs_2:gBBBB"}
    assert message["content"] == [thinking, hidden, text, use, use | {"id": "b", "input": {}}]
    assert (message["stop_reason"], message["usage"]) == (whole["stop_reason"], whole["usage"])
    assert {"type": "ping"} in events
    assert stream.done
    assert (stream.served_model, stream.finish_reason) == ("gpt-5.5-2026-04-01", "tool_use")
    tokens = stated_classes(stream.usage.stated)
    assert tokens == stated_classes(translator.usage.stated)
    assert tokens is not None
    assert (tokens.prompt, tokens.completion, tokens.reasoning) == (50, 20, 12)
    assert translator.usage.is_final


def test_incomplete_responses_stream() -> None:
    ending = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    stream, events, _ = responses_stream(responses_events("response.incomplete", **ending))
    assert stream.done
    assert message_of(events)["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(
    "error",
    [
        {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "oops"}}},
        {"type": "error", "code": "server_error", "message": "oops"},
        {"type": "error", "error": {"code": "server_error", "message": "oops"}},
    ],
)
def test_failed_responses_stream(error: Json) -> None:
    stream, _, _ = responses_stream([*responses_events()[:5], error])
    assert stream.failure is not None
    assert str(stream.failure) == "oops"


@pytest.mark.parametrize("keep", [1, 8, 23])
def test_broken_responses_stream_is_never_complete(keep: int) -> None:
    stream, _, _ = responses_stream(responses_events()[:keep])
    assert not stream.done


@pytest.mark.parametrize("signature", ["openai_reasoning:rs_1:gAAAA", "reasoning_content", "reasoning"])
def test_thinking_of_other_providers_is_not_sent_to_claude(signature: str) -> None:
    thinking = {"type": "thinking", "thinking": "Boats.", "signature": signature}
    own = thinking | {"signature": "EqMBCkYIBRgC"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    asked = {"role": "user", "content": "What flows past the harbor?"}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": signature}]}
    turns = [{"role": "assistant", "content": content} for content in ([thinking, own, call], [thinking])]
    messages = [asked, *turns, result]
    sent = json.loads(without_foreign_thinking(json.dumps({"model": "m", "messages": messages}).encode()))
    assert sent["messages"] == [asked, {"role": "assistant", "content": [own, call]}, result]
    unsigned = json.dumps({"model": "m", "messages": [asked]}).encode()
    assert without_foreign_thinking(unsigned) is unsigned
