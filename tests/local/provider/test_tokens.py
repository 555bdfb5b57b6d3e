import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_local.provider.request import ChatRequest, Message
from tollgate_local.provider.tokens import count_tokens, message_tokens, preamble_tokens, split_tokens

# The example of OpenAI's cookbook; the API itself counted 124 tokens for gpt-4o and gpt-4o-mini.
COOKBOOK = [
    {"role": role, "content": content} | ({"name": name} if name else {})
    for role, name, content in (
        (
            "system",
            None,
            "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
        ),
        ("system", "example_user", "New synergies will help drive top-line growth."),
        ("system", "example_assistant", "Things working well together will increase revenue."),
        (
            "system",
            "example_user",
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        ),
        ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
        (
            "user",
            None,
            "This late pivot means we don't have time to boil the ocean for the client deliverable.",
        ),
    )
]


def test_a_chat_counts_as_the_api_counted_it() -> None:
    request = msgspec.convert({"model": "gpt-4o", "messages": COOKBOOK}, ChatRequest)
    assert preamble_tokens(request) + sum(map(message_tokens, request.messages)) == 124


def test_what_looks_like_a_special_token_is_text() -> None:
    assert count_tokens("<|endoftext|>") > 1


def test_parts_count_as_their_text() -> None:
    whole = msgspec.convert({"role": "user", "content": "two words"}, Message)
    parts = msgspec.convert({"role": "user", "content": [{"type": "text", "text": "two words"}]}, Message)
    assert message_tokens(parts) == message_tokens(whole)


@pytest.mark.parametrize(("detail", "tokens"), [("low", 85), ("high", 765)])
def test_images_count_by_detail(detail: str, tokens: int) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,", "detail": detail}}
    with_image = msgspec.convert({"role": "user", "content": [image]}, Message)
    without = msgspec.convert({"role": "user", "content": None}, Message)
    assert message_tokens(with_image) - message_tokens(without) == tokens


def test_tools_add_to_the_prompt() -> None:
    plain = {"model": "gpt-4o", "messages": COOKBOOK}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    with_tool = msgspec.convert({**plain, "tools": [tool]}, ChatRequest)
    assert preamble_tokens(with_tool) > preamble_tokens(msgspec.convert(plain, ChatRequest))


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_splitting_loses_nothing(text: str) -> None:
    pieces = split_tokens(text)
    assert "".join(pieces) == text
    assert len(pieces) == count_tokens(text)
