"""OpenAI's other endpoints: what is read of a request, what it may use at most, what an answer tells."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import CONTEXT_TOKENS, IMAGE_TOKENS
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.endpoints.base import ModelRequest, ResponseStream
from tollgate_edge.endpoints.messages import MessagesStream
from tollgate_edge.endpoints.responses import ResponsesStream
from tollgate_edge.http.errors import ApiError, ProviderFailed
from tollgate_edge.http.forms import parse_form, without_boundary
from tollgate_edge.http.request_context import RequestContext
from tollgate_edge.providers.base import Operation, ProviderRequest
from tollgate_edge.streaming.chat_stream import ChatStream
from tollgate_edge.streaming.sse import EventBuffer
from tollgate_edge.streaming.typed_stream import BinaryStream
from tollgate_edge.usage.merging import stated_classes

RECORDINGS = Path(__file__).parent / "recordings"
JSON = b"application/json"
# 16,000 bytes whose duration cannot be read.
RESERVED_SECONDS = TokenCounts(audio_seconds=1 + 16_000 // 750)
BY_UNIT = Prices(input=0, output=0, images=1, characters=1, audio_seconds=1, searches=1)
BY_TOKEN = Prices(input=1, output=1)
KEPT_LONG = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
FORM_TYPE = b"multipart/form-data; boundary=xyz"


def parsed(path: str, **fields: Any) -> ModelRequest:
    return ENDPOINTS[path].parse(json.dumps({"model": "m", **fields}).encode(), {})


def form(file_bytes: int, **fields: str) -> bytes:
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    file = 'Content-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n'
    parts.append(file + "\r\n" * (file_bytes // 2) + "x" * (file_bytes % 2))
    return "".join(f"--xyz\r\n{part}\r\n" for part in parts).encode() + b"--xyz--\r\n"


def transcription(file_bytes: int, **fields: str) -> ModelRequest:
    return ENDPOINTS["/v1/audio/transcriptions"].parse(
        form(file_bytes, **{"model": "m", **fields}), {b"content-type": FORM_TYPE}
    )


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/embeddings", {}, "input"),
        ("/v1/embeddings", {"model": None, "input": "x"}, "model"),
        ("/v1/embeddings", {"input": "x", "user": 1}, "user"),
        ("/v1/completions", {"prompt": "x", "best_of": "3"}, "best_of"),
        ("/v1/completions", {"prompt": "x", "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ("/v1/responses", {"input": "x", "background": True}, "background"),
        ("/v1/responses", {"input": "x", "tools": [{"type": "web_search_preview"}]}, "tools"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "x"}], "web_search_options": {}},
            "web_search_options",
        ),
        ("/v1/responses", {"input": "x", "max_output_tokens": "9"}, "max_output_tokens"),
        ("/v1/responses", {"input": "x", "service_tier": "ultrafast"}, "service_tier"),
        ("/v1/responses", {"input": "x", "prompt_cache_options": {"ttl": "12h"}}, "prompt_cache_options.ttl"),
        ("/v1/chat/completions", {"messages": [{}], "prompt_cache_options": {"ttl": "7d"}}, "prompt_cache_options.ttl"),
        *(
            (path, {member: [{"role": "user", "content": [KEPT_LONG]}]}, "prompt_cache_breakpoint.ttl")
            for path, member in (("/v1/responses", "input"), ("/v1/chat/completions", "messages"))
        ),
        (
            "/v1/responses",
            {"input": "x", "prompt_cache_options": {"comparison_response_id": "resp_1"}},
            "prompt_cache_options.comparison_response_id",
        ),
        ("/v1/chat/completions", {"messages": [{}], "service_tier": "priority"}, "service_tier"),
        # No limit at some providers.
        ("/v1/chat/completions", {"messages": [{}], "max_tokens": 0}, "max_tokens"),
        ("/v1/chat/completions", {"messages": [{}], "max_completion_tokens": -1}, "max_completion_tokens"),
        ("/v1/completions", {"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ("/v1/responses", {"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ("/v1/messages", {"messages": [{}], "max_tokens": 0}, "max_tokens"),
        ("/v1/images/generations", {}, "prompt"),
        ("/v1/images/generations", {"prompt": "x", "n": "2"}, "n"),
        ("/v1/audio/speech", {}, "input"),
        ("/v1/audio/speech", {"input": "x", "stream_format": "mp3"}, "stream_format"),
        *(
            ("/v1/messages", {"messages": [{}], "max_tokens": 1, **fields}, next(iter(fields)))
            for fields in (
                {"fallbacks": [{"model": "another"}]},
                {"inference_geo": "us"},
                {"mcp_servers": [{"type": "url", "url": "https://example.com"}]},
                {"speed": "fast"},
                {"tools": [{"type": "web_fetch_20260318", "name": "web_fetch"}]},
                {"tools": [{"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}]},
            )
        ),
        ("/v1/moderations", {"model": 1, "input": "x"}, "model"),
        ("/v1/messages/count_tokens", {"messages": []}, "messages"),
        ("/v1/rerank", {"documents": ["x"]}, "query"),
        ("/v1/rerank", {"query": "x", "documents": []}, "documents"),
        ("/v1/rerank", {"query": "x", "documents": "x"}, "documents"),
    ],
)
def test_error_names_invalid_field(path: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(path, **fields)
    assert caught.value.status == 400
    assert json.loads(caught.value.body())["error"]["param"] == param


@pytest.mark.parametrize("options", [{"ttl": "30m"}, {"ttl": None}, {"mode": "explicit"}])
def test_prompt_cache_ttl_must_have_price(options: dict[str, Any]) -> None:
    part = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
    asked = {"input": [{"role": "user", "content": [part]}], "prompt_cache_options": options, "store": False}
    sent = parsed("/v1/responses", **asked).to_provider(None)
    assert json.loads(sent.body) == {"model": "m", **asked}


def test_betas_are_forwarded_by_allow_list() -> None:
    path, body = "/v1/messages", b'{"model":"m","max_tokens":1,"messages":[{}],"speed":"standard"}'
    asked = b"fast-mode-2026-02-01, interleaved-thinking-2025-05-14,unheard-of,pdfs-2024-09-25,pdfs-2024-09-25"
    headers = {b"anthropic-beta": asked, b"anthropic-version": b"2026-10-21", b"anthropic-workspace-id": b"w"}
    sent = ENDPOINTS[path].parse(body, headers).to_provider(None)
    assert sent.headers == (
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "interleaved-thinking-2025-05-14,pdfs-2024-09-25"),
    )
    assert ENDPOINTS[path].parse(body, {b"anthropic-beta": b"unheard-of"}).headers == ()


def test_repeated_headers_are_joined() -> None:
    lines = [(b"anthropic-beta", b"pdfs-2024-09-25"), (b"x", b"y"), (b"anthropic-beta", b"token-counting-2024-11-01")]
    context = RequestContext({"path": "/v1/messages", "headers": lines}, receive=None, send=None)  # type: ignore[arg-type]
    assert context.headers == {b"anthropic-beta": b"pdfs-2024-09-25, token-counting-2024-11-01", b"x": b"y"}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_unknown_anthropic_version_is_rejected(path: str) -> None:
    with pytest.raises(ApiError) as caught:
        ENDPOINTS[path].parse(b'{"model":"m","max_tokens":1,"messages":[{}]}', {b"anthropic-version": b"2023-01-01"})
    assert (caught.value.status, caught.value.param) == (400, "anthropic-version")


@pytest.mark.parametrize(
    ("body", "content_type", "param"),
    [
        (b"{}", JSON, None),
        (b"nonsense", FORM_TYPE, None),
        (form(1), FORM_TYPE, "model"),
        (form(1, model="m", stream="maybe"), FORM_TYPE, "stream"),
        (form(1, model="m").replace(b'name="file"', b'name="sound"'), FORM_TYPE, "file"),
        (form(1, model="m" * 300), FORM_TYPE, "model"),
        (form(1, model="m", prompt="x" * 70_000), FORM_TYPE, "prompt"),
    ],
)
def test_invalid_form(body: bytes, content_type: bytes, param: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        ENDPOINTS["/v1/audio/transcriptions"].parse(body, {b"content-type": content_type})
    assert caught.value.status == 400
    assert json.loads(caught.value.body())["error"]["param"] == param


def test_form_hash_ignores_boundary() -> None:
    first, again = form(9, model="m"), form(9, model="m").replace(b"--xyz", b"--another")
    assert without_boundary(first, FORM_TYPE) == without_boundary(
        again, b'multipart/form-data; boundary="another"; charset=utf-8'
    )
    assert without_boundary(first, FORM_TYPE) != without_boundary(form(8, model="m"), FORM_TYPE)
    for content_type in (b"", b"application/json", b"multipart/form-data", b"multipart/form-data; boundary=", b"\xff;"):
        assert without_boundary(first, content_type) is first


@pytest.mark.parametrize("path", sorted(ENDPOINTS))
def test_invalid_body_is_client_error(path: str) -> None:
    for body in (b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'"x"'):
        with pytest.raises(ApiError) as caught:
            ENDPOINTS[path].parse(body, {})
        assert caught.value.status == 400


def test_unparsed_fields_are_forwarded_unchanged() -> None:
    body = b'{"model":"m","input":"x","unknown":1.50,  "%b":"x","query":"x","documents":["x"],"stream":false}'
    for path, endpoint in ENDPOINTS.items():
        if not any(part in path for part in ("chat", "transcri", "translat", "messages", "responses")):
            sent = body % b"prompt"
            assert endpoint.parse(sent, {}).upstream_body is sent
    sent = body % b'store":false,"else'
    assert ENDPOINTS["/v1/responses"].parse(sent, {}).upstream_body is sent


def test_nested_input_is_counted() -> None:
    nested = b'{"model":"m","input":' + b"[" * 900 + b'[7,7],"hello"' + b"]" * 900 + b"}"
    assert ENDPOINTS["/v1/embeddings"].parse(nested, {}).prompt_tokens() == 3


@untimed
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=5), numbers=st.lists(st.integers(0, 200_000)))
def test_input_tokens_do_not_exceed_reservation(texts: list[str], numbers: list[int]) -> None:
    for given_input in (texts, texts[0], numbers or [1]):
        embeddings = parsed("/v1/embeddings", input=given_input)
        assert embeddings.prompt_tokens() <= embeddings.size(None).prompt_tokens
        completion = parsed("/v1/completions", prompt=given_input)
        assert completion.prompt_tokens() <= completion.size(None).prompt_tokens
    response = parsed("/v1/responses", input=[{"role": "user", "content": text} for text in texts])
    assert response.prompt_tokens() <= response.size(None).prompt_tokens
    ranking = parsed("/v1/rerank", query=texts[0], documents=texts)
    ranking.required_prices(BY_TOKEN)
    assert ranking.prompt_tokens() <= ranking.size(None).prompt_tokens


PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
TEXT = {"type": "text", "media_type": "text/plain", "data": "AAAA"}
WEB = {"type": "url", "url": "https://example.com/a"}


@pytest.mark.parametrize(
    ("blocks", "images", "has_document"),
    [
        ([{"type": "image", "source": PNG}, {"type": "image", "source": WEB}], 2, False),
        ([{"type": "document", "source": TEXT}], 0, False),
        ([{"type": "document", "source": PDF}], 1, True),
        ([{"type": "document", "source": WEB}], 1, True),
        ([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": PDF}]}], 1, True),
    ],
)
def test_images_and_documents_are_reserved(blocks: list[dict[str, Any]], images: int, has_document: bool) -> None:
    message = parsed("/v1/messages", max_tokens=5, messages=[{"role": "user", "content": blocks}])
    texts = len(message.upstream_body)
    more = CONTEXT_TOKENS if has_document else 0
    assert message.size(None).prompt_tokens == texts + images * IMAGE_TOKENS + more
    assert message.size(900_000).prompt_tokens == (900_000 if has_document else texts + images * IMAGE_TOKENS)


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "input_image", "image_url": "https://example.com/a.png"}, IMAGE_TOKENS),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}, CONTEXT_TOKENS),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, CONTEXT_TOKENS),
    ],
)
def test_non_text_input_of_responses_is_reserved(part: dict[str, str], tokens: int) -> None:
    response = parsed("/v1/responses", input=[{"role": "user", "content": [part]}])
    assert response.size(None).prompt_tokens == len(response.upstream_body) + tokens


@pytest.mark.parametrize(
    ("fields", "choices"),
    [
        ({"prompt": "x"}, 1),
        ({"prompt": ["x", "y"], "n": 3}, 6),
        ({"prompt": [1, 2, 3], "best_of": 4, "n": 2}, 4),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({}, 1),
    ],
)
def test_choices_of_completion_multiply_by_prompts(fields: dict[str, Any], choices: int) -> None:
    assert parsed("/v1/completions", max_tokens=5, **fields).size(None).output_tokens == 5 * choices


ENVELOPE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {},
    "/v1/messages": {"max_tokens": 1},
    "/v1/messages/count_tokens": {},
}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/chat/completions", {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}),
        ("/v1/chat/completions", {"role": "assistant", "audio": {"id": "audio_1"}}),
        *((path, {"role": "user", "content": [FILE]}) for path in ("/v1/messages", "/v1/messages/count_tokens")),
        ("/v1/messages", {"role": "user", "content": [{"type": "tool_result", "content": [FILE]}]}),
        ("/v1/messages", {"role": "user", "content": [{"type": "container_upload", "file_id": "file_1"}]}),
    ],
)
def test_message_with_stored_reference_is_rejected(path: str, message: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", **ENVELOPE[path], "messages": [{"role": "user", "content": "x"}, message]})
    for spelled in (body, body.replace("file_id", "f\\u0069le_id").replace('"audio"', '"a\\u0075dio"')):
        with pytest.raises(ApiError) as caught:
            ENDPOINTS[path].parse(spelled.encode(), {})
        assert (caught.value.status, caught.value.param) == (400, "messages")


def test_tool_input_may_contain_file_id() -> None:
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {"file_id": "mine"}}
    quoted = {"type": "text", "text": '{"file_id": "mine"}', "citations": [{"file_id": None}]}
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {"file_id": {"type": "string"}}}}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [quoted, call]}]
    parsed("/v1/messages", max_tokens=1, messages=messages, tools=[tool])
    parsed("/v1/responses", input=[{"type": "function_call", "arguments": '{"file_id": "mine"}', "call_id": "c"}])


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        *(("/v1/responses", {name: "x_1"}) for name in ("previous_response_id", "conversation", "prompt")),
        ("/v1/responses", {"conversation": {"id": "conv_1"}}),
        ("/v1/responses", {"input": [{"id": "rs_1"}]}),
        ("/v1/responses", {"input": [{"type": "item_reference", "id": "rs_1"}]}),
        ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}),
        ("/v1/responses", {"tools": [{"type": "shell", "environment": {"type": "container_reference"}}]}),
        ("/v1/responses", {"tools": [{"type": "tool_search"}]}),
        ("/v1/responses", {"tools": [{"type": "mcp", "connector_id": "connector_gmail"}]}),
        *(("/v1/messages", {name: {"id": "x_1"}}) for name in ("container", "diagnostics", "thread")),
    ],
)
def test_stored_reference_is_rejected_by_name(path: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(path, **{"input": "x", "messages": [{}], "max_tokens": 1, **fields})
    assert (caught.value.status, caught.value.code) == (400, "unsupported_value")
    assert caught.value.param in fields


@pytest.mark.parametrize("store", [{}, {"store": None}, {"store": True}, {"store": False}])
def test_responses_are_sent_with_store_false(store: dict[str, Any]) -> None:
    sent = parsed("/v1/responses", input="x", temperature=0.5, **store).to_provider(None)
    assert json.loads(sent.body) == {"model": "m", "input": "x", "temperature": 0.5, "store": False}


@pytest.mark.parametrize("stream", [False, True])
def test_chat_is_sent_with_store_false(stream: bool) -> None:
    messages = [{"role": "user", "content": "x"}]
    sent = parsed("/v1/chat/completions", messages=messages, stream=stream, store=True).to_provider(None)
    assert json.loads(sent.body)["store"] is False
    assert "store" not in json.loads(parsed("/v1/chat/completions", messages=messages).to_provider(None).body)


THOUGHTS = {"type": "reasoning", "id": "rs_1", "summary": []}
SAID = [
    {"role": "user", "content": "x"},
    THOUGHTS,
    {**THOUGHTS, "encrypted_content": None, "content": []},
    {**THOUGHTS, "encrypted_content": "gAAA"},
    {**THOUGHTS, "content": [{"type": "reasoning_text", "text": "Hm"}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "look", "arguments": "{}"},
]


@pytest.mark.parametrize("store", [{}, {"store": None}, {"store": True}])
def test_reasoning_without_content_is_removed(store: dict[str, Any]) -> None:
    sent = parsed("/v1/responses", input=SAID, **store).to_provider(None)
    assert json.loads(sent.body) == {"model": "m", "input": [SAID[0], *SAID[3:]], "store": False}


def test_body_with_store_false_is_unchanged() -> None:
    sent = parsed("/v1/responses", input=SAID, store=False).to_provider(None)
    assert json.loads(sent.body) == {"model": "m", "input": SAID, "store": False}


def test_item_reference_error_explains_store_false() -> None:
    with pytest.raises(ApiError, match=r"providerOptions\.openai\.store: false"):
        parsed("/v1/responses", input=[{"type": "item_reference", "id": "msg_1"}])


@pytest.mark.parametrize(
    ("path", "fields", "units"),
    [
        ("/v1/images/generations", {"prompt": "x", "n": 3}, TokenCounts(images=3)),
        ("/v1/audio/speech", {"input": "harb✓r"}, TokenCounts(characters=6)),
        ("/v1/rerank", {"query": "x", "documents": ["x"] * 101}, TokenCounts(searches=2)),
        ("/v1/rerank", {"query": "x", "documents": ["x" * 60_000]}, TokenCounts(searches=2)),
    ],
)
def test_units_are_reserved_in_full(path: str, fields: dict[str, Any], units: TokenCounts) -> None:
    request = parsed(path, **fields)
    assert len(request.required_prices(BY_UNIT)) == 1
    assert request.size(None).units == units


def test_audio_seconds_are_bounded_by_bytes() -> None:
    request = transcription(75_000)
    assert request.required_prices(BY_UNIT) == ("audio_seconds",)
    assert request.size(None).units == TokenCounts(audio_seconds=101)


@pytest.mark.parametrize(
    ("prices", "fields", "answer", "tokens", "estimated"),
    [
        (
            BY_UNIT,
            {},
            {"text": "a", "usage": {"type": "duration", "seconds": 2.2}},
            TokenCounts(audio_seconds=3),
            False,
        ),
        (BY_UNIT, {}, {"text": "a", "duration": 2.2}, TokenCounts(audio_seconds=3), False),
        (BY_UNIT, {}, {"text": "a", "usage": {"type": "duration", "seconds": -1}}, RESERVED_SECONDS, True),
        (
            BY_TOKEN,
            {},
            {
                "text": "a",
                "usage": {"input_tokens": 9, "output_tokens": 4, "input_token_details": {"audio_tokens": 7}},
            },
            TokenCounts(input=2, audio_input=7, output=4),
            False,
        ),
        (BY_TOKEN, {}, {"text": "hello"}, TokenCounts(audio_input=20, output=1), True),
        (BY_UNIT, {"response_format": "srt"}, "1\n00:00:00,000 --> 00:01:02,500\nHi\n", None, True),
        (BY_UNIT, {"response_format": "text"}, "Hi", RESERVED_SECONDS, True),
        (BY_UNIT, {}, {"text": "a", "duration": -7.5}, RESERVED_SECONDS, True),
        (BY_UNIT, {}, {"text": "a", "duration": 1e300}, RESERVED_SECONDS, True),
        (
            BY_UNIT,
            {"response_format": "srt"},
            f"1\n0:00:00,000 --> {'9' * 9}:00:01,000\nHi\n2\n0:00:00,000 --> {'9' * 5_000}:00:01,000\nHi\n",
            RESERVED_SECONDS,
            True,
        ),
    ],
)
def test_transcription_usage(
    prices: Prices, fields: dict[str, str], answer: Any, tokens: TokenCounts | None, estimated: bool
) -> None:
    request = transcription(16_000, **fields)
    request.required_prices(prices)
    reading = request.parse_response(answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())
    assert (reading.tokens, reading.estimated) == (tokens or TokenCounts(audio_seconds=63), estimated)


@pytest.mark.parametrize(
    ("path", "fields", "answer", "tokens", "estimated"),
    [
        ("/v1/embeddings", {"input": "x"}, {"data": [], "usage": {"prompt_tokens": 7}}, TokenCounts(input=7), False),
        ("/v1/embeddings", {"input": "x"}, {"data": [], "usage": {"prompt_tokens": -7}}, TokenCounts(input=1), True),
        ("/v1/embeddings", {"input": [5, 6]}, {"data": []}, TokenCounts(input=2), True),
        ("/v1/completions", {"prompt": "x"}, {"choices": [{"text": "hello"}]}, TokenCounts(input=1, output=1), True),
        (
            "/v1/responses",
            {"input": "x"},
            {"output": [{"content": [{"type": "output_text", "text": "hello"}]}], "usage": None},
            TokenCounts(input=1, output=1),
            True,
        ),
        ("/v1/rerank", {"query": "x", "documents": ["y"]}, {"results": []}, TokenCounts(input=2), True),
        (
            "/v1/rerank",
            {"query": "x", "documents": ["y"]},
            {"results": [], "usage": {"total_tokens": 30}},
            TokenCounts(input=30),
            False,
        ),
        ("/v1/moderations", {"input": "x"}, {"results": []}, TokenCounts(), False),
        ("/v1/messages/count_tokens", {"messages": [{}]}, {"input_tokens": 9}, None, False),
    ],
)
def test_response_usage(
    path: str, fields: dict[str, Any], answer: dict[str, Any], tokens: TokenCounts | None, estimated: bool
) -> None:
    request = parsed(path, **fields)
    request.required_prices(BY_TOKEN)
    reading = request.parse_response(json.dumps(answer).encode())
    assert (reading.tokens, reading.estimated) == (tokens, estimated)


@pytest.mark.parametrize("path", sorted(ENDPOINTS.keys() - {"/v1/audio/speech", "/v1/messages"}))
def test_invalid_response_is_provider_failure(path: str) -> None:
    fields = {"input": "x", "query": "x", "documents": ["x"], "messages": [{}]}
    if "images" in path:
        fields["prompt"] = "x"
    request = transcription(8) if "audio" in path else parsed(path, **fields)
    for body in (b"<html>", b"[]", b"{}", b"\xff"):
        with pytest.raises(ProviderFailed):
            request.parse_response(body)


def test_images_without_usage_are_charged_as_reserved() -> None:
    request = parsed("/v1/images/generations", prompt="A harbor", n=2)
    request.required_prices(BY_TOKEN)
    reading = request.parse_response(b'{"data":[{},{}]}')
    assert reading.estimated
    assert reading.tokens is not None
    assert reading.tokens.image_output <= request.size(None).output_tokens


def test_a_message_reserves_the_least_that_a_translation_asks_for() -> None:
    assert parsed("/v1/messages", max_tokens=5, messages=[{}]).size(None).output_tokens == 16
    assert parsed("/v1/messages", max_tokens=500, messages=[{}]).size(None).output_tokens == 500


@untimed
@given(cuts=st.lists(st.integers(0, 6_000), max_size=12))
def test_responses_stream_is_independent_of_chunking(cuts: list[int]) -> None:
    recording = (RECORDINGS / "openai_responses.sse").read_bytes()
    stream = ResponsesStream()
    bounds = [0, *sorted(min(cut, len(recording)) for cut in cuts), len(recording)]
    handed_on = b"".join(stream.feed(recording[start:end]) for start, end in pairwise(bounds)) + stream.finish()
    assert stream.done
    assert handed_on + stream.last_event == recording
    assert stream.last_event.startswith(b"event: response.completed")
    assert stated_classes(stream.usage.stated) == TokenCounts(input=30, cached_input=7, output=11, reasoning=2)
    assert (stream.served_model, stream.finish_reason) == ("gpt-4.1-2025-04-14", "completed")
    assert stream.delivered_tokens() == 12


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"type":"error","code":"server_error","message":"no"}\n\n',
        b'event: response.failed\ndata: {"type":"response.failed","response":{"status":"failed"}}\n\n',
        b"event: response.completed\ndata: {oops\n\n",
        b"event: response.output_text.delta\ndata: oops\n\n",
        b'event: response.completed\ndata: {"type":"response.completed","response":7}\n\n',
        b"",
    ],
)
def test_responses_stream_failure(event: bytes) -> None:
    stream = ResponsesStream()
    assert not stream.feed(event)
    stream.finish()
    assert stream.failure is not None
    assert not stream.done


@given(chunks=st.lists(st.binary(max_size=30), max_size=8))
def test_audio_is_forwarded_except_last_chunk(chunks: list[bytes]) -> None:
    stream = BinaryStream(TokenCounts(characters=3))
    handed_on = b"".join(map(stream.feed, chunks))
    assert stream.tokens is None
    stream.finish()
    assert handed_on + stream.last_event == b"".join(chunks)
    assert stream.tokens == TokenCounts(characters=3)


@untimed
@given(
    events=st.lists(st.sampled_from([b"data: a\n\n", b"data: b\r\n\r\n", b": x\n\r\n", b"event: c\ndata: d\n\n"])),
    cuts=st.lists(st.integers(0, 200)),
)
def test_event_buffer_is_independent_of_chunking(events: list[bytes], cuts: list[int]) -> None:
    data = b"".join(events)
    framing = EventBuffer()
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole = b"".join(framing.feed(data[start:end]) for start, end in pairwise(bounds))
    assert whole.replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")
    assert not framing.has_partial_event


# .NET writes a field's name without quotes, and its type first.
@pytest.mark.parametrize("name", [b'name="model"', b"name=model"])
@pytest.mark.parametrize("kind", ["multipart/form-data", "Multipart/Form-Data"])
def test_form_is_sent_with_target_model(name: bytes, kind: str) -> None:
    def written(body: bytes) -> bytes:
        head = b"Content-Disposition: form-data; "
        return body.replace(head + b'name="model"', b"Content-Type: text/plain\r\n" + head + name)

    body = written(form(9, model="fast", prompt='name="model"'))
    assert parse_form(body, f"{kind}; boundary=xyz".encode(), frozenset({"model"})).field("model") == "fast"
    request = ProviderRequest(Operation.TRANSCRIPTIONS, "fast", body, f"{kind}; boundary=xyz")
    assert request.with_model("whisper-1").body == written(form(9, model="whisper-1", prompt='name="model"'))


def test_file_named_model_is_unchanged() -> None:
    body = form(9, model="fast").replace(b'name="file"', b"name=model")
    renamed = ProviderRequest(Operation.TRANSCRIPTIONS, "fast", body, FORM_TYPE.decode()).with_model("whisper-1").body
    assert renamed == body.replace(b"fast", b"whisper-1")


@pytest.mark.parametrize(
    ("stream", "first", "kind"),
    [
        (
            ResponsesStream(),
            b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1","model":"m"}}\n\n',
            "response.incomplete",
        ),
        (
            MessagesStream(),
            b'event: message_start\ndata: {"type":"message_start","message":{"model":"m"}}\n\n',
            "message_delta",
        ),
    ],
)
def test_truncation_event_has_format_of_api(stream: ResponseStream, first: bytes, kind: str) -> None:
    stream.feed(first)
    name, data = stream.truncation_event(1).decode().strip().split("\n")
    assert name == f"event: {kind}"
    told = json.loads(data.removeprefix("data: "))
    assert told["type"] == kind
    assert "max" in json.dumps(told)
    if kind == "response.incomplete":
        assert (told["response"]["id"], told["response"]["status"]) == ("resp_1", "incomplete")


def test_html_is_not_an_event_stream() -> None:
    for stream in (ResponsesStream(), MessagesStream(), ChatStream(strips_usage=True)):
        assert not stream.feed(b"<html>\n\n")
        assert stream.failure is not None


def test_comments_are_forwarded() -> None:
    for stream in (ResponsesStream(), MessagesStream(), ChatStream(strips_usage=True)):
        assert stream.feed(b": ping\n\n") == b": ping\n\n"
        assert stream.failure is None
