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
