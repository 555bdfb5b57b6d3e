import json
from typing import Any

import pytest

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.request import parse_chat

MESSAGES = [{"role": "user", "content": "Hi"}]


def refused(body: bytes) -> tuple[int, dict[str, Any]]:
    with pytest.raises(ApiError) as raised:
        parse_chat(body)
    return raised.value.status, json.loads(raised.value.body())["error"]


NESTED = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
DEEP = b'{"model": "gpt-4o", "messages": [{"role": "user"}], "tools": [{"type": "function", "function": '
DEEP += b'{"name": "f", "parameters": ' + NESTED + b"}}]}"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"model": "gpt-4o", "messages": "\\ud800"}', DEEP])
def test_what_is_not_json_is_said_to_be_so(body: bytes) -> None:
    status, error = refused(body)
    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert "parse the JSON body" in error["message"]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": "gpt-4o"}, "messages", "missing_required_parameter"),
        ({"messages": MESSAGES}, "model", "missing_required_parameter"),
        ({"model": "gpt-4o", "messages": "Hi"}, "messages", "invalid_type"),
        ({"model": "gpt-4o", "messages": []}, "messages", "invalid_type"),
        ({"model": "gpt-4o", "messages": [{"role": "bard"}]}, "messages[0].role", "invalid_type"),
        ({"model": "gpt-4o", "messages": [{}]}, "messages[0].role", "missing_required_parameter"),
        ({"model": "gpt-4o", "messages": MESSAGES, "n": 0}, "n", "invalid_type"),
        ({"model": "gpt-4o", "messages": MESSAGES, "max_tokens": -1}, "max_tokens", "invalid_type"),
        ({"model": "gpt-4o", "messages": MESSAGES, "metadata": {"a": 1}}, "metadata[...]", "invalid_type"),
        ({"model": "o3", "messages": MESSAGES, "max_tokens": 5}, "max_tokens", "unsupported_parameter"),
        ({"model": "gpt-4o", "messages": MESSAGES, "stream_options": {}}, "stream_options", "invalid_value"),
        ({"model": "gpt-4o", "messages": MESSAGES, "tool_choice": "required"}, "tool_choice", "invalid_value"),
        (
            {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 5, "max_completion_tokens": 5},
            "max_tokens",
            "invalid_parameter_combination",
        ),
    ],
)
def test_a_wrong_parameter_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    status, error = refused(json.dumps(fields).encode())
    assert (status, error["param"], error["code"]) == (400, param, code)
    assert param in error["message"]


@pytest.mark.parametrize("body", [b"[]", b"3", b"null"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    status, error = refused(body)
    assert (status, error["param"]) == (400, "body")


def test_a_tool_choice_must_name_a_tool() -> None:
    tool = {"type": "function", "function": {"name": "there"}}
    choice = {"type": "function", "function": {"name": "missing"}}
    body = json.dumps({"model": "gpt-4o", "messages": MESSAGES, "tools": [tool], "tool_choice": choice}).encode()
    request, _ = parse_chat(body)
    with pytest.raises(ApiError, match="'missing' not found"):
        request.called_tool()


def test_unknown_fields_pass() -> None:
    request, model = parse_chat(json.dumps({"model": "gpt-4o", "messages": MESSAGES, "store": True}).encode())
    assert model.id == request.model == "gpt-4o"
