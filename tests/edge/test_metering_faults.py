"""Streams whose shape once made the edge charge too little, or hand on more than the credit covers."""

import json
from typing import Any

import pytest

from edge.in_process import CENT, streamed
from tollgate_common.events import Outcome
from tollgate_common.rating import TokenCounts
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.usage.merging import stated_classes
from tollgate_edge.usage.parsers import parse_usage

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
DONE = b"data: [DONE]\n\n"


def asked(**more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True} | more).encode()


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}


def chunk(text: str | None = None, reason: str | None = None, index: int = 0, **members: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": index, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "x", "model": "m", "choices": [choice]} | members).encode() + b"\n\n"


def end(tokens: int) -> list[bytes]:
    return [chunk(None, "stop", usage=usage(tokens)), DONE]


@pytest.mark.parametrize("limits", [{}, {"max_tokens": 900}])
@pytest.mark.parametrize(
    "events",
    [
        [chunk(""), *[chunk(" word" * 100)] * 60, *end(6_000)],
        [chunk(" word" * 6_000), *end(6_000)],
        [b"".join([*[chunk(" word")] * 6_000, *end(6_000)])],
    ],
    ids=["large events", "one event", "one block"],
)
async def test_large_events_do_not_outrun_the_credit(events: list[bytes], limits: dict[str, Any]) -> None:
    result = await streamed(CHAT, asked(**limits), events, credit_nano=CENT)
    assert result.outcome.outcome is Outcome.CUT_OFF
    assert result.meter.cost_nano <= CENT
    # The credit covers less than a thousand tokens.
    assert result.received.count(b" word") < 1_500


async def test_stated_thoughts_that_are_not_shown_end_with_the_credit() -> None:
    told = {"stream_options": {"include_usage": True}}
    events = [*[chunk(" w", usage=usage(100 * number)) for number in range(1, 50)], *end(5_000)]
    result = await streamed(CHAT, asked(**told), events, credit_nano=CENT)
    assert result.outcome.outcome is Outcome.CUT_OFF
    assert 0.9 * CENT < result.meter.cost_nano <= CENT


async def test_response_whose_text_is_covered_is_not_cut_off_by_its_last_usage() -> None:
    last = [chunk(None, "stop", usage=usage(2_000)), chunk(None, None, usage=usage(2_000))]
    events = [*[chunk(" word")] * 900, *last, DONE]
    result = await streamed(CHAT, asked(stream_options={"include_usage": True}), events, credit_nano=CENT)
    assert result.outcome.outcome is Outcome.COMPLETED
    assert not result.outcome.estimated
    assert result.outcome.tokens is not None
    assert result.outcome.tokens.output == 2_000


@pytest.mark.parametrize("reason", [None, "stop"])
async def test_text_after_the_last_usage_is_counted(reason: str | None) -> None:
    """A finish reason may stand in each chunk, and the last text beside it."""
    events = [chunk(" word", reason, usage=usage(1)), *[chunk(" word", reason)] * 49, chunk(" word" * 50, "stop"), DONE]
    result = await streamed(CHAT, asked(), events)
    assert result.outcome.tokens is not None
    assert (result.outcome.tokens.output, result.outcome.estimated) == (100, True)


async def test_last_usage_before_a_finish_without_text_is_final() -> None:
    result = await streamed(CHAT, asked(), [chunk(" word", usage=usage(70)), chunk("", "stop"), DONE])
    assert result.outcome.tokens is not None
    assert (result.outcome.tokens.output, result.outcome.estimated) == (70, False)


@pytest.mark.parametrize("leaves_after", [200, None])
async def test_usage_of_one_choice_is_not_that_of_all(leaves_after: int | None) -> None:
    body = asked(n=2, stream_options={"include_usage": True, "continuous_usage_stats": True})
    events = [chunk(" word", index=index, usage=usage(number)) for number in range(1, 101) for index in (0, 1)]
    result = await streamed(CHAT, body, events, leaves_after=leaves_after)
    assert result.outcome.tokens is not None
    assert result.outcome.tokens.output > 190
    assert result.outcome.estimated


DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":" word"}\n\n'
BLOCK = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":" word"}}\n\n'
)


@pytest.mark.parametrize(
    ("path", "body", "event"),
    [
        (RESPONSES, {"model": "m", "input": "hi", "stream": True, "text": "plain"}, DELTA),
        (MESSAGES, json.loads(asked(max_tokens=500)) | {"output_config": "plain"}, BLOCK),
    ],
)
async def test_request_with_an_unexpected_member_is_charged(path: str, body: dict[str, Any], event: bytes) -> None:
    result = await streamed(path, json.dumps(body).encode(), [event] * 50, leaves_after=20)
    assert result.outcome.outcome is Outcome.CANCELLED
    assert result.outcome.tokens is not None
    assert result.outcome.tokens.input > 0
    assert result.outcome.tokens.output > 0


def typed(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": " word" * 50}]}
ITEM_DONE = typed("response.output_item.done", item=ITEM)
COMPLETED = typed("response.completed", response={"id": None, "status": None, "output": [ITEM]})


@pytest.mark.parametrize("events", [[ITEM_DONE, COMPLETED], [COMPLETED], [DELTA * 50, ITEM_DONE, COMPLETED]])
async def test_items_without_deltas_are_counted(events: list[bytes]) -> None:
    body = json.dumps({"model": "m", "input": "hi", "stream": True}).encode()
    result = await streamed(RESPONSES, body, events)
    assert result.outcome.outcome is Outcome.COMPLETED
    assert result.outcome.tokens is not None
    assert (result.outcome.tokens.output, result.outcome.estimated) == (50, True)


@pytest.mark.parametrize("rest", [[], [ProviderFailed(502, "broken")]], ids=["ended", "broken"])
async def test_message_is_complete_if_it_breaks_within_its_last_event(rest: list[ProviderFailed]) -> None:
    delta = typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 10, "output_tokens": 50})
    cut = b'event: message_stop\ndata: {"type":"mess'
    result = await streamed(MESSAGES, asked(max_tokens=500), [*[BLOCK] * 50, delta, cut, *rest])
    assert result.outcome.outcome is Outcome.COMPLETED
    assert result.received.endswith(b'data: {"type":"message_stop"}\n\n')


def test_cache_beside_the_prompt_is_not_reasoning_beside_the_output() -> None:
    stated = {
        "prompt_tokens": 100,
        "completion_tokens": 800,
        "total_tokens": 5_900,
        "prompt_tokens_details": {"cached_tokens": 5_000},
        "completion_tokens_details": {"reasoning_tokens": 500},
    }
    expected = TokenCounts(input=100, cached_input=5_000, output=300, reasoning=500)
    assert stated_classes(parse_usage(stated)) == expected


def test_audio_is_not_kept() -> None:
    body = b'{"model": "m", "input": "hi", "voice": "x", "stream_format": "sse"}'
    stream = ENDPOINTS["/v1/audio/speech"].parse(body, {}).open_stream()
    audio = typed("speech.audio.delta", audio="A" * 1_000)
    assert stream.feed(audio) == audio
    assert stream._texts == []  # type: ignore[attr-defined]
