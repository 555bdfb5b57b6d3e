"""Streams by which a client or a provider would have more than is paid for: each is cut off where the credit ends, and
each is closed with what it used."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from edge.purse import PAYER, Purse, tariff
from tollgate_common.events import KeyLimits, Outcome
from tollgate_common.rating import Prices
from tollgate_edge.credit.reservation import reserve_stream
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.endpoints.base import ModelRequest
from tollgate_edge.event_log.request_events import RequestMeter, RequestOutcome
from tollgate_edge.event_log.writer import Batch
from tollgate_edge.gateway.admitted_request import AdmittedRequest
from tollgate_edge.gateway.relay import relay_stream
from tollgate_edge.http.errors import ApiError, ClientGone
from tollgate_edge.http.request_context import Message, RequestContext
from tollgate_edge.providers.base import ProviderRequest
from tollgate_edge.rate_limits.limiter import Permit, RateLimiter
from tollgate_edge.routing.retries import Attempts

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
CENT = 10_000_000
TARIFF = tariff(Prices(input=2_500_000_000, output=10_000_000_000))
FIRST_TOKENS = 256


class Durable:
    async def durable(self) -> None:
        pass


class Meter:
    """Keeps the outcome, as the real one does its events."""

    def __init__(self) -> None:
        self.ending: RequestOutcome | None = None

    def open(self) -> None:
        pass

    async def opened(self) -> None:
        pass

    def close(self, outcome: RequestOutcome, _lease_id: str | None) -> tuple[int, Batch]:
        self.ending = outcome
        return self.cost_nano, cast("Batch", Durable())

    @property
    def cost_nano(self) -> int:
        assert self.ending is not None, "it was never closed"
        return 0 if self.ending.tokens is None else TARIFF.amount_nano(self.ending.tokens)


class Provider:
    content_type = "text/event-stream"
    usage = None

    def __init__(self, events: list[bytes]) -> None:
        self._events = iter(events)

    @asynccontextmanager
    async def stream(self, _request: ProviderRequest) -> AsyncIterator["Provider"]:
        yield self

    async def read(self) -> bytes | None:
        await asyncio.sleep(0)
        return next(self._events, None)

    async def read_to_end(self) -> None:
        pass


async def streamed(
    path: str, body: bytes, events: list[bytes], *, credit_nano: int, leaves_after: int | None = None
) -> tuple[ModelRequest, Meter]:
    """A stream of an account with so much credit; its client leaves after so many messages."""
    request = ENDPOINTS[path].parse(body, {})
    allowance = await reserve_stream(
        Purse(credit_nano), PAYER, TARIFF, request.size(1_000_000).within(65_536), FIRST_TOKENS
    )
    sent = 0

    async def receive() -> Message:
        while leaves_after is None or sent < leaves_after:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        nonlocal sent
        sent += 1

    context = RequestContext({"type": "http", "path": path, "headers": []}, receive, send)
    context.error_format = ENDPOINTS[path].error_format
    meter = Meter()
    provider = cast("Attempts", Provider(events))
    with (
        suppress(ApiError, ClientGone),
        AdmittedRequest(Permit(RateLimiter(max_body_bytes=1), KeyLimits(), None, 1)) as admitted,
    ):
        admitted.reservation = allowance
        admitted.start(request, request.to_provider(None), provider, cast("RequestMeter", meter))
        await relay_stream(context, admitted)
    return request, meter


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
    _, meter = await streamed(CHAT, asked(**limits), events, credit_nano=CENT)
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
    _, meter = await streamed(CHAT, asked(**limits), events, credit_nano=credit_nano)
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
    _, meter = await streamed(
        MESSAGES, asked(max_tokens=4_000), events, credit_nano=100 * CENT, leaves_after=leaves_after
    )
    assert meter.ending is not None
    assert meter.ending.tokens is not None
    assert meter.ending.tokens.output >= 50


async def test_uncountable_prompt_is_charged_by_length() -> None:
    deep = b'{"messages":[{"role":"user","content":"hi"}],"model":"m","stream":true,"x":%b%b}'
    refused = 0
    # The deepest that can be read at all: one call deeper, where prompts are counted, it cannot.
    for depth in range(1_000, 800, -1):
        body = deep % (b"[" * depth, b"]" * depth)
        try:
            request, meter = await streamed(CHAT, body, list(words(5_000)), credit_nano=CENT)
        except ApiError:
            refused += 1
            continue
        assert meter.ending is not None
        assert meter.ending.tokens is not None
        assert meter.ending.tokens.input == len(request.upstream_body) // 4
        break
    assert refused


@pytest.mark.parametrize("body", [asked() + b"\xff", asked(x="?").replace(b"?", b"\xe9"), b'{"\xff":1,' + asked()[1:]])
def test_invalid_utf8_is_rejected(body: bytes) -> None:
    with pytest.raises(ApiError, match="JSON") as caught:
        ENDPOINTS[CHAT].parse(body, {})
    assert caught.value.status == 400
