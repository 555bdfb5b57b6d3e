import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_common.rating import TokenCounts
from tollgate_edge.usage.parsers import MAX_TOKENS, parse_chat_usage, parse_responses_usage


def parsed(**usage: Any) -> TokenCounts | None:
    return parse_chat_usage(json.dumps(usage).encode())


def test_classes_are_disjoint() -> None:
    assert parsed(
        prompt_tokens=100,
        completion_tokens=50,
        total_tokens=150,
        prompt_tokens_details={"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 5, "image_tokens": 3},
        completion_tokens_details={"reasoning_tokens": 30, "audio_tokens": 4, "accepted_prediction_tokens": 2},
    ) == TokenCounts(
        input=22, cached_input=60, cache_write=10, audio_input=5, image_input=3, output=16, reasoning=30, audio_output=4
    )


def test_classes_of_responses_usage_are_disjoint() -> None:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 5, "image_tokens": 3},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4},
    }
    assert parse_responses_usage(json.dumps(usage).encode()) == TokenCounts(
        input=22, cached_input=60, cache_write=10, audio_input=5, image_input=3, output=16, reasoning=30, audio_output=4
    )


@pytest.mark.parametrize("details", [{}, {"prompt_tokens_details": None}, {"prompt_tokens_details": {"new": 7}}])
def test_details_may_be_missing(details: dict[str, Any]) -> None:
    assert parsed(prompt_tokens=3, completion_tokens=4, **details) == TokenCounts(input=3, output=4)


def test_cached_tokens_are_limited_to_prompt() -> None:
    assert parsed(
        prompt_tokens=10, completion_tokens=1, prompt_tokens_details={"cached_tokens": 11, "cache_write_tokens": 5}
    ) == TokenCounts(cached_input=10, output=1)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 5, "completion_tokens": MAX_TOKENS + 1},
        {"prompt_tokens": 5},
        {"prompt_tokens": "5", "completion_tokens": 5},
        {"prompt_tokens": 5.5, "completion_tokens": 5},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": 7},
    ],
)
def test_impossible_usage_is_rejected(usage: dict[str, Any]) -> None:
    assert parsed(**usage) is None


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'{"prompt_tokens":', b'"\xff"'])
def test_non_object_is_rejected(raw: bytes) -> None:
    assert parse_chat_usage(raw) is None


totals = st.integers(min_value=0, max_value=MAX_TOKENS)
details = st.integers(min_value=-10, max_value=2 * MAX_TOKENS)


@untimed
@given(
    totals=st.tuples(totals, totals),
    details=st.fixed_dictionaries({"cached_tokens": details, "cache_write_tokens": details, "audio_tokens": details}),
    reasoning=details,
)
def test_totals_are_kept_for_any_details(totals: tuple[int, int], details: dict[str, int], reasoning: int) -> None:
    read, written = totals
    output_details = {"reasoning_tokens": reasoning, "audio_tokens": details["audio_tokens"]}
    of_chat = parsed(
        prompt_tokens=read,
        completion_tokens=written,
        prompt_tokens_details=details,
        completion_tokens_details=output_details,
    )
    response = {
        "input_tokens": read,
        "output_tokens": written,
        "input_tokens_details": details,
        "output_tokens_details": output_details,
    }
    assert parse_responses_usage(json.dumps(response).encode()) == of_chat
    assert of_chat
    assert (of_chat.prompt, of_chat.completion) == totals
    assert all(getattr(of_chat, name) >= 0 for name in of_chat.__struct_fields__)
