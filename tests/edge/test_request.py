import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_edge.http.errors import ApiError
from tollgate_edge.http.json_body import parse_chat, upstream_body
from tollgate_edge.providers.base import Operation, ProviderRequest
from tollgate_edge.providers.compatible import with_max_tokens

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": 'Hello {[" }'}]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def forwarded(body: bytes) -> bytes:
    return upstream_body(body, parse_chat(body)[1])


@untimed
@given(more=st.dictionaries(st.sampled_from(["seed", "tools", "metadata", "x"]), json_values), space=st.booleans())
def test_a_stream_asks_for_its_usage_and_all_else_is_kept(more: dict[str, Any], space: bool) -> None:
    request = {**CHAT, "stream": True, **more}
    body = json.dumps(request, indent=2 if space else None).encode() + (b" \n" if space else b"")
    assert json.loads(forwarded(body)) == {**request, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_own_stream_options_are_completed(options: Any, asked: dict[str, bool]) -> None:
    body = json.dumps({**CHAT, "stream": True, "stream_options": options}).encode()
    assert json.loads(forwarded(body)) == {**CHAT, "stream": True, "stream_options": asked}


@pytest.mark.parametrize("more", [{}, {"stream": False}, {"stream": True, "stream_options": {"include_usage": True}}])
def test_what_needs_no_change_is_forwarded_byte_for_byte(more: dict[str, Any]) -> None:
    body = json.dumps({**CHAT, **more}, indent=3).encode()
    assert forwarded(body) is body


def test_long_numbers_and_escapes_survive() -> None:
    more = b'"seed":12345678901234567890.10,"stream_options":{}'
    body = b'{"model":"m","messages":[{"content":"\\u00e9"}],"stream":true,%b}' % more
    assert b'"seed":12345678901234567890.10' in forwarded(body)
    assert b'"\\u00e9"' in forwarded(body)


def test_an_error_names_the_parameter() -> None:
    with pytest.raises(ApiError, match=r"Invalid value for 'stream': expected `bool \| null`, got `int`") as caught:
        parse_chat(json.dumps({**CHAT, "stream": 1}).encode())
    assert caught.value.status == 400
    assert json.loads(caught.value.body())["error"]["param"] == "stream"


def test_the_end_user_is_cut_and_has_no_nul() -> None:
    _, chat = parse_chat(json.dumps({**CHAT, "user": "\0" + "u" * 10_000}).encode())
    assert chat.end_user == "u" * 256


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"max_tokens": 5}),
        ({"max_completion_tokens": None, "max_tokens": 9}, {"max_tokens": 9}),
        ({"max_tokens": 9}, {"max_tokens": 9}),
        ({"text": "max_completion_tokens"}, {"text": "max_completion_tokens"}),
    ],
)
def test_a_limit_has_the_name_that_the_server_knows(members: dict[str, Any], expected: dict[str, Any]) -> None:
    body = msgspec.json.encode({"temperature": 1.0} | members)
    sent = with_max_tokens(ProviderRequest(Operation.CHAT, "m", body))
    assert msgspec.json.decode(sent.body) == {"temperature": 1.0} | expected
    spelt = body.replace(b'"max_completion', rb'"ma\u0078_completion')
    assert msgspec.json.decode(with_max_tokens(sent._replace(body=spelt)).body) == {"temperature": 1.0} | expected


def test_other_endpoints_limits_keep_their_names() -> None:
    asked = ProviderRequest(Operation.RESPONSES, "m", b'{"max_completion_tokens":5}')
    assert with_max_tokens(asked) is asked
