"""Streams by which a client or a provider would have more than is paid for: each is cut off where the credit ends, and
each is closed with what it used."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from edge.in_process import CENT, streamed
from tollgate_common.events import Outcome
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.http.errors import ApiError

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


def asked(**more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True} | more).encode()


def event(**members: Any) -> bytes:
    return b"data: " + json.dumps({"id": "x", "model": "m"} | members).encode() + b"\n\n"


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}


def words(count: int, *, tells_usage: bool = False) -> Iterator[bytes]:
    """A provider that generates so many tokens, whatever it was asked for."""
    for number in range(1, count + 1):
        told = {"usage": usage(number)} if tells_usage else {}
        yield event(choices=[{"index": 0, "delta": {"content": " word"}, "finish_reason": None}], **told)
    yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=usage(count))
    yield b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("limits", "tells_usage"),
    [
        ({}, False),
        # Each event tells the usage so far, as some servers do when asked to.
        ({"stream_options": {"include_usage": True, "continuous_usage_stats": True}}, True),
        # A provider that does not know the limit, or none of this spelling.
        ({"max_completion_tokens": 1}, False),
        ({"max_tokens": 300}, True),
    ],
)
async def test_stream_ends_when_credit_is_used_up(limits: dict[str, Any], tells_usage: bool) -> None:
    events = list(words(5_000, tells_usage=tells_usage))
    meter = (await streamed(CHAT, asked(**limits), events, credit_nano=CENT)).meter
    assert meter.ending is not None
    assert meter.ending.outcome is Outcome.CUT_OFF
    assert 0.9 * CENT < meter.cost_nano <= CENT


@pytest.mark.parametrize("limits", [{}, {"max_tokens": 400}, {"max_tokens": 400, "max_completion_tokens": 7}])
async def test_stream_within_credit_is_not_truncated(limits: dict[str, Any]) -> None:
    # As large as an event with the likelihood of twenty tokens.
    filler = "x" * 2_000
    events = [event(choices=[{"index": 0, "delta": {"role": "assistant"}}]), *words(400)]
    events[1:-2] = [
        event(choices=[{"index": 0, "delta": {"content": " word"}, "logprobs": filler}]) for _ in range(400)
    ]
    credit_nano = CENT if limits else 100 * CENT
    meter = (await streamed(CHAT, asked(**limits), events, credit_nano=credit_nano)).meter
    assert meter.ending is not None
    assert meter.ending.outcome is Outcome.COMPLETED
    assert meter.cost_nano == 10 * 2_500 + 400 * 10_000


DELTA = b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"%b'


@pytest.mark.parametrize("broken", [DELTA % b'caf\xc3"}}', DELTA % b"a}"], ids=["half a character", "no end"])
@pytest.mark.parametrize("leaves_after", [70, None], ids=["left", "broken off"])
async def test_broken_event_does_not_prevent_charging_others(broken: bytes, leaves_after: int | None) -> None:
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"model":"m",'
        b'"usage":{"input_tokens":1000,"output_tokens":1}}}\n\n'
    )
    whole = b"event: content_block_delta\ndata: " + DELTA % b' word"}}' + b"\n\n"
    events = [start, *[whole] * 50, b"event: content_block_delta\ndata: " + broken + b"\n\n", *[whole] * 50]
    result = await streamed(MESSAGES, asked(max_tokens=4_000), events, leaves_after=leaves_after)
    assert result.outcome.tokens is not None
    assert result.outcome.tokens.output >= 50


async def test_uncountable_prompt_is_charged_by_length() -> None:
    deep = b'{"messages":[{"role":"user","content":"hi"}],"model":"m","stream":true,"x":%b%b}'
    refused = 0
    # The deepest that can be read at all: one call deeper, where prompts are counted, it cannot.
    for depth in range(1_000, 800, -1):
        body = deep % (b"[" * depth, b"]" * depth)
        try:
            result = await streamed(CHAT, body, list(words(5_000)), credit_nano=CENT)
        except ApiError:
            refused += 1
            continue
        assert result.outcome.tokens is not None
        assert result.outcome.tokens.input == len(result.request.upstream_body) // 4
        break
    assert refused


@pytest.mark.parametrize("body", [asked() + b"\xff", asked(x="?").replace(b"?", b"\xe9"), b'{"\xff":1,' + asked()[1:]])
def test_invalid_utf8_is_rejected(body: bytes) -> None:
    with pytest.raises(ApiError, match="JSON") as caught:
        ENDPOINTS[CHAT].parse(body, {})
    assert caught.value.status == 400
