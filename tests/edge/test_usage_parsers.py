"""What providers state of their usage, in any shape and order, becomes the classes that they charge."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_common.rating import TokenCounts
from tollgate_edge.usage.merging import NOTHING_STATED, SettledUsage, StatedUsage, merge, settle, stated_classes
from tollgate_edge.usage.parsers import (
    MAX_TOKENS,
    parse_gemini_usage,
    parse_image_usage,
    parse_messages_usage,
    parse_usage,
)

ESTIMATED_PROMPT = 77


def classes_of(usage: Any) -> TokenCounts | None:
    return stated_classes(parse_usage(json.dumps(usage).encode()))


def settled(stated: StatedUsage, *, delivered: int = 0, is_final: bool = True) -> SettledUsage:
    return settle(
        stated,
        count_output=lambda: delivered,
        estimate=lambda output: TokenCounts(input=ESTIMATED_PROMPT, output=output),
        is_final=is_final,
    )


def test_classes_are_disjoint() -> None:
    assert classes_of(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {
                "cached_tokens": 60,
                "cache_write_tokens": 10,
                "audio_tokens": 5,
                "image_tokens": 3,
            },
            "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4, "accepted_prediction_tokens": 2},
        }
    ) == TokenCounts(
        input=22, cached_input=60, cache_write=10, audio_input=5, image_input=3, output=16, reasoning=30, audio_output=4
    )


def test_classes_of_responses_usage_are_disjoint() -> None:
    assert classes_of(
        {
            "input_tokens": 100,
            "input_tokens_details": {
                "cached_tokens": 60,
                "cache_write_tokens": 10,
                "audio_tokens": 5,
                "image_tokens": 3,
            },
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4},
        }
    ) == TokenCounts(
        input=22, cached_input=60, cache_write=10, audio_input=5, image_input=3, output=16, reasoning=30, audio_output=4
    )


P, C = {"prompt_tokens": 2_000}, {"completion_tokens": 20}
TOTAL = {"total_tokens": 2_020}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        # Where cached tokens stand.
        (P | C | {"prompt_tokens_details": {"cached_tokens": 1_536}}, TokenCounts(464, 1_536, output=20)),
        (P | C | TOTAL | {"cached_tokens": 1_536}, TokenCounts(464, 1_536, output=20)),
        (
            P | C | {"prompt_cache_hit_tokens": 1_536, "prompt_cache_miss_tokens": 464},
            TokenCounts(464, 1_536, output=20),
        ),
        (P | C | {"cache_read_input_tokens": 1_536}, TokenCounts(464, 1_536, output=20)),
        (
            P | C | {"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 1_536},
            TokenCounts(464, 1_536, output=20),
        ),
        # What was written to a cache.
        (
            P | C | {"prompt_tokens_details": {"cache_creation_input_tokens": 1_500, "cached_tokens": 0}},
            TokenCounts(500, cache_write=1_500, output=20),
        ),
        (
            P | C | {"prompt_tokens_details": {"cache_creation": {"ephemeral_5m_input_tokens": 1_500}}},
            TokenCounts(500, cache_write=1_500, output=20),
        ),
        (
            P | C | {"prompt_tokens_details": {"cache_creation_tokens": 1_500}},
            TokenCounts(500, cache_write=1_500, output=20),
        ),
        # Reasoning inside the output, as most count it; the total says so, or does not contradict it.
        (
            P | C | TOTAL | {"completion_tokens_details": {"reasoning_tokens": 15}},
            TokenCounts(2_000, output=5, reasoning=15),
        ),
        (P | C | {"completion_tokens_details": {"reasoning_tokens": 15}}, TokenCounts(2_000, output=5, reasoning=15)),
        (P | C | TOTAL | {"reasoning_tokens": 15}, TokenCounts(2_000, output=5, reasoning=15)),
        # Reasoning beside it: only the total says so.
        (
            {"prompt_tokens": 10_120, "completion_tokens": 1_499, "total_tokens": 14_428}
            | {"completion_tokens_details": {"reasoning_tokens": 2_809}},
            TokenCounts(10_120, output=1_499, reasoning=2_809),
        ),
        (
            {"prompt_tokens": 10_120, "completion_tokens": 1_499, "total_tokens": 14_428},
            TokenCounts(10_120, output=1_499, reasoning=2_809),
        ),
        # Cached tokens beside the prompt.
        (
            {"prompt_tokens": 464, "completion_tokens": 20, "total_tokens": 2_020, "cached_tokens": 1_536},
            TokenCounts(464, 1_536, output=20),
        ),
        # Totals that complete what is missing.
        (P | TOTAL, TokenCounts(2_000, output=20)),
        (C | TOTAL, TokenCounts(2_000, output=20)),
        (P, TokenCounts(2_000)),
        # A total that explains nothing.
        (P | C | {"total_tokens": 5}, TokenCounts(2_000, output=20)),
        # Numbers and details as some servers write them.
        ({"prompt_tokens": 2_000.0, "completion_tokens": 20.0, "total_tokens": 2_020.0}, TokenCounts(2_000, output=20)),
        (P | C | {"prompt_tokens_details": None, "completion_tokens_details": []}, TokenCounts(2_000, output=20)),
        (P | C | {"prompt_tokens_details": 7}, TokenCounts(2_000, output=20)),
        (P | C | {"prompt_tokens_details": {"cached_tokens": "many"}}, TokenCounts(2_000, output=20)),
        (
            P | C | {"prompt_tokens_details": {"cached_tokens": None, "audio_tokens": 8}},
            TokenCounts(1_992, audio_input=8, output=20),
        ),
        # Both protocols' names in one object.
        (P | C | {"input_tokens": 0, "output_tokens": 0}, TokenCounts(2_000, output=20)),
        # Media.
        (P | C | {"completion_tokens_details": {"image_tokens": 18}}, TokenCounts(2_000, output=2, image_output=18)),
        (
            P
            | C
            | {
                "prompt_tokens_details": {
                    "cached_tokens": 1_000,
                    "audio_tokens": 600,
                    "cached_tokens_details": {"audio_tokens": 500},
                }
            },
            TokenCounts(900, 500, audio_input=100, cached_audio_input=500, output=20),
        ),
    ],
)
def test_each_way_to_state_a_usage(usage: dict[str, Any], tokens: TokenCounts) -> None:
    assert classes_of(usage) == tokens
    assert settled(parse_usage(json.dumps(usage).encode())) == SettledUsage(tokens)


def test_gemini_counts_thoughts_and_tool_results_beside() -> None:
    usage = {
        "promptTokenCount": 110,
        "toolUsePromptTokenCount": 30,
        "candidatesTokenCount": 1_300,
        "thoughtsTokenCount": 40,
        "cachedContentTokenCount": 50,
        "totalTokenCount": 1_480,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 80}, {"modality": "AUDIO", "tokenCount": 30}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 30}, {"modality": "AUDIO", "tokenCount": 20}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1_290}],
    }
    assert stated_classes(parse_gemini_usage(usage)) == TokenCounts(
        input=80, cached_input=30, audio_input=10, cached_audio_input=20, output=10, reasoning=40, image_output=1_290
    )


def test_text_of_an_image_model_is_not_charged_as_image() -> None:
    usage = {
        "input_tokens": 60,
        "input_tokens_details": {"text_tokens": 20, "image_tokens": 40},
        "output_tokens": 300,
        "output_tokens_details": {"text_tokens": 28, "image_tokens": 272},
        "total_tokens": 360,
    }
    assert parse_image_usage(json.dumps(usage).encode()) == TokenCounts(20, image_input=40, output=28, image_output=272)


def test_messages_usage_excludes_the_cache_from_its_input() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 14_000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    }
    assert stated_classes(parse_messages_usage(usage)) == TokenCounts(
        input=10, cached_input=14_000, cache_write=100, cache_write_1h=200, output=30, reasoning=20
    )


STARTED = {"input_tokens": 3, "cache_read_input_tokens": 14_000, "cache_creation_input_tokens": 0, "output_tokens": 1}


@pytest.mark.parametrize(
    "blocks",
    [
        [STARTED, {"output_tokens": 40}],
        [STARTED, {"input_tokens": 0, "output_tokens": 40}],
        [STARTED, {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 40}, {}],
        [STARTED, STARTED, {"input_tokens": None, "output_tokens": 40}, {"output_tokens": 0}],
        [{"input_tokens": 0, "output_tokens": 0}, STARTED | {"output_tokens": 40}],
        # First stated as uncached, then as cached: the prompt is not counted twice.
        [{"input_tokens": 14_003, "output_tokens": 1}, STARTED | {"output_tokens": 40}],
    ],
)
def test_a_later_zero_never_wipes_a_figure(blocks: list[dict[str, Any]]) -> None:
    stated = NOTHING_STATED
    for block in blocks:
        stated = merge(stated, parse_messages_usage(block))
    assert stated_classes(stated) == TokenCounts(input=3, cached_input=14_000, output=40)


@pytest.mark.parametrize(
    ("usage", "delivered", "tokens"),
    [
        # All zeros beside delivered text are not stated.
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, 9, TokenCounts(ESTIMATED_PROMPT, output=9)),
        # A prompt without tokens is impossible.
        ({"prompt_tokens": 0, "completion_tokens": 20}, 9, TokenCounts(ESTIMATED_PROMPT, output=20)),
        ({"prompt_tokens": 100, "completion_tokens": 0}, 9, TokenCounts(100, output=9)),
        ({"prompt_tokens": 100}, 9, TokenCounts(100, output=9)),
        ({}, 9, TokenCounts(ESTIMATED_PROMPT, output=9)),
        ({"prompt_tokens": 5.5, "completion_tokens": 20}, 9, TokenCounts(ESTIMATED_PROMPT, output=20)),
        ({"prompt_tokens": "5", "completion_tokens": 20}, 9, TokenCounts(ESTIMATED_PROMPT, output=20)),
    ],
)
def test_only_what_is_not_stated_is_counted(usage: dict[str, Any], delivered: int, tokens: TokenCounts) -> None:
    assert settled(parse_usage(usage), delivered=delivered) == SettledUsage(tokens, is_estimated=True)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": -1, "completion_tokens": 5}, TokenCounts(ESTIMATED_PROMPT, output=5)),
        ({"prompt_tokens": 5, "completion_tokens": MAX_TOKENS + 1}, TokenCounts(5, output=9)),
        ({"prompt_tokens": 10**30, "completion_tokens": -1}, TokenCounts(ESTIMATED_PROMPT, output=9)),
        # A detail above its total: the total is charged.
        (
            {"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 5_000}},
            TokenCounts(cached_input=100, output=9),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 900}},
            TokenCounts(100, reasoning=9),
        ),
    ],
)
def test_impossible_usage_is_estimated_and_reported(usage: dict[str, Any], tokens: TokenCounts) -> None:
    stated = parse_usage(json.dumps(usage).encode())
    assert settled(stated, delivered=9) == SettledUsage(tokens, is_estimated=True, is_impossible=True)


def test_rounding_is_not_impossible() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 102}}
    assert settled(parse_usage(usage)) == SettledUsage(TokenCounts(cached_input=100, output=9))


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b'{"prompt_tokens":', b'"\xff"', b"[" * 5_000, b'{"prompt_tokens":{}}']
)
def test_what_is_no_usage_states_nothing(raw: bytes) -> None:
    assert parse_usage(raw) == parse_messages_usage(raw) == parse_gemini_usage(raw) == NOTHING_STATED


totals = st.integers(min_value=1, max_value=MAX_TOKENS)
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
    usage = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": min(read + written, MAX_TOKENS),
        "prompt_tokens_details": details,
        "completion_tokens_details": output_details,
    }
    # The usual usage is read by a shorter way.
    assert parse_usage(json.dumps(usage).encode()) == parse_usage(usage)
    of_chat = classes_of(usage)
    response = {
        "input_tokens": read,
        "output_tokens": written,
        "input_tokens_details": details,
        "output_tokens_details": output_details,
    }
    assert classes_of(response) == of_chat
    assert of_chat
    assert (of_chat.prompt, of_chat.completion) == totals
    assert all(getattr(of_chat, name) >= 0 for name in of_chat.__struct_fields__)


counts = st.integers(0, 50_000)
blocks: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": counts,
            "completion_tokens": counts,
            "cached_tokens": counts,
            "prompt_tokens_details": st.none() | st.fixed_dictionaries({"cached_tokens": counts}) | st.just([]),
            "completion_tokens_details": st.fixed_dictionaries({"reasoning_tokens": counts}),
        },
    ),
    max_size=5,
)


@untimed
@given(blocks=blocks, data=st.data(), delivered=counts, is_final=st.booleans())
def test_order_and_repetition_do_not_matter(
    blocks: list[dict[str, Any]], data: st.DataObject, delivered: int, is_final: bool
) -> None:
    def merged(order: list[dict[str, Any]]) -> SettledUsage:
        stated = NOTHING_STATED
        for block in order:
            stated = merge(stated, parse_usage(block))
        return settled(stated, delivered=delivered, is_final=is_final)

    shuffled = data.draw(st.permutations(blocks))
    repeated = data.draw(st.lists(st.sampled_from(blocks), max_size=5)) if blocks else []
    found = merged(blocks)
    assert merged([*shuffled, *repeated, {}, {"prompt_tokens": 0, "completion_tokens": 0}]) == found
    assert found.tokens is not None
    most_prompt = max((block.get("prompt_tokens", 0) for block in blocks), default=0)
    most_output = max((block.get("completion_tokens", 0) for block in blocks), default=0)
    if most_prompt:
        assert found.tokens.prompt == most_prompt
    if not (is_final and most_output):
        assert found.tokens.completion == max(most_output, delivered)
    else:
        assert found.tokens.completion == most_output
