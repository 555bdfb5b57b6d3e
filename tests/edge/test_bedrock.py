"""Bedrock: signatures, binary streams, Converse for any model and InvokeModel for Claude."""

import base64
import binascii
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from edge.scripted_provider import Script, ScriptedServer, scripted_provider
from tollgate_edge.http.errors import ProviderError, ProviderFailed, ProviderRefused
from tollgate_edge.providers import bedrock
from tollgate_edge.providers.base import Operation, ProviderRequest
from tollgate_edge.providers.bedrock import BedrockProvider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.providers.translators.openai_to_bedrock import parse_converse_usage

OPTIONS = ProviderOptions(region="us-east-1")
ACCESS_KEY = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:session-token"
API_KEY = "ABSKQmVkcm9ja0FQSUtleQ=="
NOVA, CLAUDE = "us.amazon.nova-pro-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
USAGE = {
    "inputTokens": 10,
    "outputTokens": 5,
    "totalTokens": 135,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 20,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 8}, {"ttl": "5m", "inputTokens": 12}],
}
CONVERSED = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
    "usage": USAGE,
    "metrics": {"latencyMs": 12},
}
MESSAGE = {
    "id": "msg_bdrk_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Encode one message as smithy.io/2.0/aws/amazon-eventstream.html specifies it."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    head = prelude + struct.pack("!I", binascii.crc32(prelude))
    body = head + encoded + payload
    return body + struct.pack("!I", binascii.crc32(body))


def event(kind: str, payload: object) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, msgspec.json.encode(payload))


def exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, msgspec.json.encode({"message": message}))


def chunk(payload: dict[str, Any]) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(msgspec.json.encode(payload)).decode(), "p": "abcd"})


def answer(body: object, status: int = 200) -> Script:
    return Script([msgspec.json.encode(body)], status=status, content_type="application/json")


def binary(*pieces: bytes) -> Script:
    return Script(pieces, content_type="application/vnd.amazon.eventstream")


def request(model: str, operation: Operation = Operation.CHAT, **members: Any) -> ProviderRequest:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]} | members
    headers = (("anthropic-version", "2023-06-01"), ("anthropic-beta", "context-1m-2025-08-07, other"))
    return ProviderRequest(operation, model, msgspec.json.encode(body), headers=headers)


def root(server: ScriptedServer) -> str:
    return server.url.removesuffix("/v1")


async def exchange(sent: ProviderRequest, script: Script, key: str = API_KEY) -> tuple[ScriptedServer, dict[str, Any]]:
    async with scripted_provider(script) as server:
        provider = BedrockProvider(root(server), key, Timeouts(2, 2), OPTIONS)
        try:
            response = await provider.complete(sent)
        finally:
            await provider.aclose()
        return server, msgspec.json.decode(response.body)


async def streamed(sent: ProviderRequest, script: Script) -> tuple[ScriptedServer, bytes]:
    async with scripted_provider(script) as server:
        provider = BedrockProvider(root(server), API_KEY, Timeouts(2, 2), OPTIONS)
        got = b""
        try:
            async with provider.stream(sent) as chunks:
                while (piece := await chunks.read()) is not None:
                    got += piece
        finally:
            await provider.aclose()
        return server, got


def sse_data(stream: bytes) -> list[dict[str, Any]]:
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return [msgspec.json.decode(line) for line in lines]


@pytest.mark.parametrize("model", [NOVA, PROFILE])
async def test_signature_is_what_botocore_computes_for_the_received_request(model: str) -> None:
    server, _ = await exchange(request(model), answer(CONVERSED), ACCESS_KEY)
    got = server.headers(0)
    assert got["x-amz-security-token"] == "session-token"
    again = AWSRequest("POST", root(server) + server.paths[0], data=server.bodies[0])
    signed = got["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert set(signed) >= {"host", "x-amz-date", "content-type", "x-amz-security-token"}
    for name in signed:
        again.headers[name] = got[name]
    again.context["timestamp"] = got["x-amz-date"]
    auth = SigV4Auth(Credentials(*ACCESS_KEY.split(":")), "bedrock", "us-east-1")
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    assert got["authorization"].endswith(f"Signature={signature}")
    assert got["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")


async def test_api_key_is_a_bearer_token() -> None:
    server, _ = await exchange(request(NOVA), answer(CONVERSED))
    assert server.headers(0)["authorization"] == f"Bearer {API_KEY}"
    assert "x-amz-date" not in server.headers(0)


async def test_credentials_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDMACHINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server, _ = await exchange(request(NOVA), answer(CONVERSED), "")
    assert "Credential=AKIDMACHINE/" in server.headers(0)["authorization"]


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
async def test_chat_is_converse_for_any_model(model: str) -> None:
    server, chat = await exchange(request(model, max_tokens=50, stop=["x", " "], temperature=2), answer(CONVERSED))
    assert server.paths == [f"/model/{model.replace(':', '%3A')}/converse"]
    assert msgspec.json.decode(server.bodies[0]) == {
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 50, "temperature": 1, "stopSequences": ["x"]},
    }
    assert chat["choices"][0]["message"]["content"] == "Hi"
    assert chat["choices"][0]["finish_reason"] == "stop"
    usage = chat["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (130, 5, 135)
    details = usage["prompt_tokens_details"]
    assert (details["cached_tokens"], details["cache_write_tokens"], details["cache_write_1h_tokens"]) == (100, 20, 8)


async def test_request_with_tools_images_and_cache_points() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    sent = request(
        NOVA,
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Be brief.", **cached}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "2"},
        ],
        tools=[
            {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
        ],
        tool_choice="required",
        response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": {"type": "object"}}},
    )
    server, _ = await exchange(sent, answer(CONVERSED))
    structure = {"jsonSchema": {"name": "sum", "schema": '{"type":"object"}'}}
    spec = {"name": "add", "description": "Adds.", "inputSchema": {"json": {"type": "object"}}}
    assert msgspec.json.decode(server.bodies[0]) == {
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "aGk="}}}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call_1", "name": "add", "input": {"a": 1}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "call_1", "content": [{"text": "2"}]}}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": spec}], "toolChoice": {"any": {}}},
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": structure}},
    }


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}
                ]
            },
            "messages",
        ),
        ({"tools": [{"type": "custom"}]}, "tools"),
    ],
)
async def test_untranslatable_requests_are_not_sent(members: dict[str, Any], param: str) -> None:
    with pytest.raises(ProviderRefused) as caught:
        await exchange(request(NOVA, **members), answer(CONVERSED))
    assert (caught.value.status, caught.value.param, caught.value.sent) == (400, param, False)


@pytest.mark.parametrize("call_id", ["call_1__thought__abc", "call 1", "c" * 70])
async def test_ids_of_calls_fit_the_pattern_of_converse(call_id: str) -> None:
    call = {"id": call_id, "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "2", "cache_control": {"type": "ephemeral"}},
    ]
    server, _ = await exchange(request(NOVA, messages=messages), answer(CONVERSED))
    body = msgspec.json.decode(server.bodies[0])
    used, (result, point) = body["messages"][1]["content"][0], body["messages"][2]["content"]
    assert used["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
    assert re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", used["toolUse"]["toolUseId"])
    assert point == {"cachePoint": {"type": "default"}}
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "add"


async def test_messages_pass_through_to_claude() -> None:
    sent = request(CLAUDE, Operation.MESSAGES, max_tokens=10, stream=False, unknown=1, anthropic_beta=["unchecked"])
    server, message = await exchange(sent, answer(MESSAGE))
    assert message == MESSAGE
    assert server.paths[0].endswith("/invoke")
    assert msgspec.json.decode(server.bodies[0]) == {
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 10,
        "unknown": 1,
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["context-1m-2025-08-07", "other"],
    }


async def test_messages_at_other_models_are_translated() -> None:
    server, message = await exchange(request(NOVA, Operation.MESSAGES, max_tokens=10), answer(CONVERSED))
    assert server.paths[0].endswith("/converse")
    assert message["content"][0]["text"] == "Hi"
    assert message["usage"]["cache_read_input_tokens"] == 100


STREAM = [
    event("messageStart", {"role": "assistant", "p": "ab"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}),
    event("contentBlockStop", {"contentBlockIndex": 0}),
    event("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "c1", "name": "add"}}}),
    event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":'}}}),
    event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "1}"}}}),
    event("contentBlockStop", {"contentBlockIndex": 1}),
    event("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "c2", "name": "now"}}}),
    event("contentBlockStop", {"contentBlockIndex": 2}),
    event("messageStop", {"stopReason": "tool_use"}),
    event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 3}}),
]


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("pieces", [STREAM, [b"".join(STREAM)], cut(b"".join(STREAM), 7)], ids=["frames", "one", "cut"])
async def test_converse_stream(pieces: Sequence[bytes]) -> None:
    server, got = await streamed(request(NOVA, stream=True), binary(*pieces))
    assert server.paths[0].endswith("/converse-stream")
    assert got.endswith(b"data: [DONE]\n\n")
    events = sse_data(got)
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hi"
    arguments = {0: "", 1: ""}
    for delta in deltas:
        for call in delta.get("tool_calls") or ():
            arguments[call["index"]] += call["function"]["arguments"]
    assert arguments == {0: '{"a":1}', 1: "{}"}
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert events[-1]["usage"]["prompt_tokens"] == 130
    assert events[-1]["usage"]["completion_tokens"] == 5


async def test_messages_stream_of_other_models_is_translated() -> None:
    _, got = await streamed(request(NOVA, Operation.MESSAGES, stream=True, max_tokens=10), binary(*STREAM))
    kinds = [event["type"] for event in sse_data(got)]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    (usage,) = (event["usage"] for event in sse_data(got) if event["type"] == "message_delta")
    assert (usage["cache_read_input_tokens"], usage["output_tokens"]) == (100, 5)


def test_libraries_of_clouds_are_not_imported_for_other_protocols() -> None:
    code = "import sys, tollgate_edge.main; print({'botocore', 'google.auth'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


async def test_stream_without_stop_reason_is_not_complete() -> None:
    _, got = await streamed(request(NOVA, stream=True), binary(*STREAM[:3]))
    assert b"[DONE]" not in got


def test_streams_of_openai_models_include_cached_tokens_in_their_input() -> None:
    stated = {"inputTokens": 4995, "outputTokens": 19, "totalTokens": 10007, "cacheWriteInputTokens": 4993}
    assert parse_converse_usage(stated, "openai.gpt-5.6", is_stream=True).prompt == 4995
    assert parse_converse_usage(stated | {"inputTokens": 2}, "openai.gpt-5.6", is_stream=False).prompt == 4995
    assert parse_converse_usage(stated, CLAUDE, is_stream=True).prompt == 4995 + 4993


async def test_messages_stream_of_claude() -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    server, got = await streamed(request(CLAUDE, Operation.MESSAGES, stream=True), binary(*map(chunk, events)))
    assert server.paths[0].endswith("/invoke-with-response-stream")
    assert "stream" not in msgspec.json.decode(server.bodies[0])
    assert got == b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), msgspec.json.encode(e)) for e in events)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, ProviderRefused), (503, ProviderRefused), (400, ProviderRefused), (403, ProviderFailed)],
)
async def test_errors_keep_status_and_words(status: int, kind: type[ProviderError]) -> None:
    body = {"message": "Too many requests, please wait before trying again."}
    with pytest.raises(kind) as caught:
        await exchange(request(NOVA), answer(body, status))
    assert caught.value.upstream_status == status
    assert kind is ProviderFailed or str(caught.value) == body["message"]


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.MESSAGES])
@pytest.mark.parametrize(
    ("name", "status"), [("throttlingException", 429), ("serviceUnavailableException", 503), ("unknown", 500)]
)
async def test_exception_before_the_first_event_has_its_status(operation: Operation, name: str, status: int) -> None:
    with pytest.raises(ProviderRefused, match="Slow down") as caught:
        await streamed(request(CLAUDE, operation, stream=True), binary(exception(name, "Slow down")))
    assert (caught.value.status, caught.value.upstream_status) == (status, status)


async def test_exception_within_a_stream_is_an_error_event() -> None:
    broken = [*STREAM[:2], exception("modelStreamErrorException", "The model broke off")]
    _, got = await streamed(request(NOVA, stream=True), binary(*broken))
    assert sse_data(got)[-1]["error"]["message"] == "The model broke off"
    assert b"[DONE]" not in got
    begun = [chunk({"type": "message_start", "message": MESSAGE}), exception("throttlingException", "Slow down")]
    _, got = await streamed(request(CLAUDE, Operation.MESSAGES, stream=True), binary(*begun))
    assert got.endswith(
        b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}\n\n'
    )


async def test_damaged_message_is_an_invalid_response() -> None:
    damaged = bytearray(b"".join(STREAM))
    damaged[20] ^= 1
    with pytest.raises(ProviderFailed, match="does not follow its own protocol"):
        await streamed(request(NOVA, stream=True), binary(bytes(damaged)))


@pytest.mark.parametrize("key", ["sk-secret", "a:b:c:d"])
def test_invalid_key_is_explained_and_not_repeated(key: str) -> None:
    problem = bedrock.find_problem(key, OPTIONS)
    assert problem is not None
    assert key not in problem


@pytest.mark.parametrize("key", ["", ACCESS_KEY, "AKID:secret", API_KEY, "bedrock-api-key-YmVk"])
def test_valid_keys(key: str) -> None:
    assert bedrock.find_problem(key, OPTIONS) is None


def test_url_of_region() -> None:
    assert bedrock.regional_url("eu-central-1") == "https://bedrock-runtime.eu-central-1.amazonaws.com"
