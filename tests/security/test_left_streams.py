"""A client cannot have prompts processed for free by leaving streams that have an idempotency key."""

from typing import Any, cast

import pytest

from edge.in_process import Meter
from tollgate_common.events import KeyLimits, Outcome
from tollgate_common.rating import TokenCounts
from tollgate_edge.event_log.request_events import RequestMeter, RequestOutcome
from tollgate_edge.gateway.admitted_request import AdmittedRequest
from tollgate_edge.gateway.outcomes import RESPONSE_NOT_STORED
from tollgate_edge.http.request_context import Message, RequestContext
from tollgate_edge.idempotency.claims import Claim, SharedClaims
from tollgate_edge.idempotency.encryption import Seal
from tollgate_edge.rate_limits.limiter import Permit, RateLimiter

TOKENS = TokenCounts(input=1_000)


class Store:
    """The balance service, which may be unavailable, and the edge's claims."""

    max_answer_bytes = 1_000

    def __init__(self, *, keeps: bool) -> None:
        self.keeps = keeps
        self.stored = 0
        self.released = 0

    async def send(self, _method: str, _path: str, _content: Any) -> bytes:
        self.stored += self.keeps
        return b'{"kept":true}' if self.keeps else b'{"kept":false}'

    def release_soon(self, _claim_id: str, _token: str) -> None:
        self.released += 1


async def closed(store: Store, sent: list[bytes], outcome: Outcome, rest: bytes = b"") -> RequestOutcome:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    context = RequestContext({"type": "http", "path": "/v1/chat/completions", "headers": []}, receive, send)
    context.captured_body = sent
    meter = Meter()
    with AdmittedRequest(Permit(RateLimiter(max_body_bytes=1), KeyLimits(), None, 1)) as admitted:
        seal = Seal("account", b"api-key", b"key")
        admitted.claim = Claim(cast("SharedClaims", store), cast("Any", store), seal, context)
        admitted.meter = cast("RequestMeter", meter)
        await admitted.close(RequestOutcome(outcome, 200, TOKENS), rest)
    assert meter.ending is not None
    return meter.ending


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_stream_that_is_left_before_it_begins_is_charged_and_can_be_repeated(keeps: bool) -> None:
    store = Store(keeps=keeps)
    outcome = await closed(store, [], Outcome.CANCELLED)
    assert (outcome.tokens, outcome.error_code) == (TOKENS, "")
    assert (store.stored, store.released) == (0, 1)


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.COMPLETED, Outcome.BROKEN])
async def test_a_response_that_has_begun_is_charged_only_if_it_is_stored(outcome: Outcome) -> None:
    kept, lost = Store(keeps=True), Store(keeps=False)
    assert (await closed(kept, [b"data: 1\n\n"], outcome)).tokens == TOKENS
    assert (kept.stored, kept.released) == (1, 0)
    ending = await closed(lost, [b"data: 1\n\n"], outcome)
    assert (ending.tokens, ending.error_code) == (None, RESPONSE_NOT_STORED)
    assert lost.released == 1


async def test_a_whole_response_that_is_left_can_be_repeated() -> None:
    store = Store(keeps=True)
    assert (await closed(store, [], Outcome.CANCELLED, rest=b"{}")).tokens == TOKENS
    assert (store.stored, store.released) == (1, 0)
