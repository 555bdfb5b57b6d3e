"""A body must mean the same to the provider as to the edge: no known name stands twice or differs only in case."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.http.errors import ApiError
from tollgate_edge.http.json_body import ChatRequest
from tollgate_edge.http.json_members import check_members

CHAT = {"model": "cheap", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 5}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "cheap", "prompt": "Hi", "max_tokens": 5},
    "/v1/messages": {"model": "cheap", "messages": CHAT["messages"], "max_tokens": 5},
    "/v1/messages/count_tokens": {"model": "cheap", "messages": CHAT["messages"]},
    "/v1/responses": {"model": "cheap", "input": "Hi", "max_output_tokens": 5},
    "/v1/embeddings": {"model": "cheap", "input": "Hi"},
    "/v1/images/generations": {"model": "cheap", "prompt": "Hi", "n": 1},
    "/v1/audio/speech": {"model": "cheap", "input": "Hi"},
    "/v1/moderations": {"model": "cheap", "input": "Hi"},
    "/v1/rerank": {"model": "cheap", "query": "Hi", "documents": ["Ho"]},
}
LAYOUTS: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"indent": 2}]


def rejected(path: str, body: bytes) -> str | None:
    with pytest.raises(ApiError) as raised:
        ENDPOINTS[path].parse(body, {})
    assert raised.value.status == 400
    return raised.value.param


def with_member(body: dict[str, Any], name: str, value: str, **layout: Any) -> bytes:
    """The body with one more member at its end; the name is written as given."""
    text = json.dumps(body, **layout)
    return f'{text[: text.rindex("}")]},"{name}":{value}}}'.encode()


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["Model", "MODEL", "mOdel", "\\u004dodel"])
def test_a_name_that_differs_in_case_is_rejected(path: str, name: str, layout: dict[str, Any]) -> None:
    ENDPOINTS[path].parse(json.dumps(BODIES[path], **layout).encode(), {})
    assert str(rejected(path, with_member(BODIES[path], name, '"dear"', **layout))).lower() == "model"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "value"), [("model", '"dear"'), ("model", '"cheap"'), ("m\\u006fdel", '"dear"')])
def test_a_duplicate_is_rejected(path: str, name: str, value: str, layout: dict[str, Any]) -> None:
    assert rejected(path, with_member(BODIES[path], name, value, **layout)) == "model"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_COMPLETION_TOKENS", "100000"),
        ("Max_Tokens", "100000"),
        ("max_completion_to\u212aens", "100000"),
        ("me\u017fsages", "[]"),
        ("N", "9"),
        ("Stream_Options", "{}"),
        ("max_completion_tokens", "50"),
        ("max_completion_tokens", "5"),
    ],
)
def test_every_known_member_of_a_chat_is_protected(name: str, value: str) -> None:
    assert rejected("/v1/chat/completions", with_member(CHAT, name, value)) == name


@pytest.mark.parametrize(
    ("path", "member", "param"),
    [
        ("/v1/chat/completions", '"stream_options":{"Include_Usage":true}', "stream_options.Include_Usage"),
        (
            "/v1/chat/completions",
            '"stream_options":{"include_usage":true,"include_usage":false}',
            "stream_options.include_usage",
        ),
        ("/v1/responses", '"tools":[{"type":"function","Type":"web_search"}]', "tools.Type"),
        ("/v1/responses", '"tools":[{"type":"web_search","type":"function"}]', "tools.type"),
        ("/v1/messages", '"tools":[{"name":"a"},{"type":"web_search","type":"custom"}]', "tools.type"),
    ],
)
def test_nested_objects_are_protected(path: str, member: str, param: str) -> None:
    text = json.dumps(BODIES[path])
    assert rejected(path, f"{text[:-1]},{member}}}".encode()) == param


@untimed
@given(
    more=st.dictionaries(
        st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5) | st.just({"model": {"Model": 1}})
    ),
    layout=st.sampled_from(LAYOUTS),
    ascii_only=st.booleans(),
)
def test_unknown_members_pass(more: dict[str, Any], layout: dict[str, Any], ascii_only: bool) -> None:
    more = {name: value for name, value in more.items() if name.lower() != "n"}
    body = json.dumps(CHAT | more, ensure_ascii=ascii_only, **layout).encode()
    ENDPOINTS["/v1/chat/completions"].parse(body, {})


def test_a_large_body_is_checked_in_linear_time() -> None:
    body = json.dumps(CHAT | {"messages": [{"role": "user", "content": 'a "q"\\ ' * 50_000}] * 20}, indent=1).encode()
    started = time.process_time()
    check_members(body, ChatRequest)
    assert time.process_time() - started < 1


def form(*parts: tuple[str, str]) -> bytes:
    text = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n' for name, more in parts)
    return f"{text}--x--\r\n".encode()


FILE = ("file", '; filename="a.mp3"\r\n\r\nsound')
MODEL = ("model", "\r\n\r\ncheap")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (("model", "\r\n\r\ndear"), "model"),
        (("model", '; filename="m"\r\n\r\ndear'), "model"),
        (("Model", "\r\n\r\ndear"), "Model"),
        (FILE, "file"),
        (("a", '\r\nContent-Disposition: form-data; name="model"\r\n\r\ndear'), "a"),
    ],
)
def test_a_form_has_each_field_once(part: tuple[str, str], param: str) -> None:
    headers = {b"content-type": b"multipart/form-data; boundary=x"}
    parse = ENDPOINTS["/v1/audio/transcriptions"].parse
    lists = [("timestamp_granularities[]", "\r\n\r\nword"), ("timestamp_granularities[]", "\r\n\r\nsegment")]
    assert parse(form(MODEL, *lists, FILE), headers).model == "cheap"
    with pytest.raises(ApiError) as raised:
        parse(form(MODEL, FILE, part), headers)
    assert (raised.value.status, raised.value.param) == (400, param)
