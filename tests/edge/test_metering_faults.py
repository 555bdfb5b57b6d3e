"""Streams whose shape once made the edge charge too little, or hand on more than the credit covers."""

import json
from typing import Any

import pytest

from edge.in_process import CENT, streamed
from tollgate_common.events import Outcome

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
