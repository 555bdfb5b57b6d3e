"""From the provider to the client: a whole answer or a stream, metered on its way.

No byte of an answer leaves before the request's opening is durable, and not the last before its usage is. However a
request ends, it is closed: by whoever raised, by the client's leaving, or by the server's shutdown.
"""

import logging
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from tollgate_common.events import Outcome
from tollgate_common.rating import TokenCounts
from tollgate_edge.credit.reservation import OutputReservation
from tollgate_edge.endpoints.base import ModelRequest, ParsedResponse, ResponseStream
from tollgate_edge.event_log.request_events import RequestMeter, RequestOutcome
from tollgate_edge.event_log.writer import Batch
from tollgate_edge.http.errors import ApiError, ClientGone, CutOff, internal_error
from tollgate_edge.http.request_context import RequestContext
from tollgate_edge.idempotency.claims import Claim
from tollgate_edge.providers.base import ProviderRequest, ResponseChunks
from tollgate_edge.routing.retries import Attempts
from tollgate_edge.streaming.chat_stream import CUT_OFF_REASON

log = logging.getLogger(__name__)

# A proxy in between must not hold back a stream in order to cache or to compress it.
NOT_KEPT = "response_not_stored"
_STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class Call(NamedTuple):
    """A request that was let in: as the client meant it and as the provider gets it."""

    request: ModelRequest
    upstream: ProviderRequest
    provider: Attempts
    meter: RequestMeter
    allowance: OutputReservation
    claim: Claim | None = None


async def _close(call: Call, ending: RequestOutcome, rest: bytes) -> Batch:
    """Record how the request ended. With an idempotency key, what is charged is kept first, and only what is kept is
    charged.

    Args:
        call: the request.
        ending: how it ended.
        rest: what the client is still going to be sent.
    """
    if call.claim is not None and ending.tokens is not None and not await call.claim.keep(rest):
        ending = ending._replace(tokens=None, error_code=NOT_KEPT)
    return call.meter.close(ending)


async def relay_whole(context: RequestContext, call: Call) -> None:
    """Answer with one JSON body. A client that leaves meanwhile pays for it: the provider generates it to the end.

    Raises:
        ApiError: the provider failed or refused; nothing is charged.
    """
    call.meter.open()
    error: ApiError | None = None
    try:
        answer = await call.provider.complete(call.upstream)
        outcome = Outcome.CANCELLED if context.has_client_left() else Outcome.COMPLETED
        ending = _whole_ending(call.request.parse_response(answer.body), outcome)
        context.content_type = answer.content_type.encode("latin-1")
        await (await _close(call, ending, answer.body)).durable()
    except ApiError as known:
        error = known
        raise
    finally:
        if not call.meter.closed:
            await call.meter.close(_refused_ending(error or internal_error())).durable()
    await context.answer(HTTPStatus.OK, answer.body, answer.content_type.encode("latin-1"))


def _whole_ending(reading: ParsedResponse, outcome: Outcome) -> RequestOutcome:
    return RequestOutcome(
        outcome,
        HTTPStatus.OK,
        reading.tokens,
        estimated=reading.estimated,
        finish_reason=reading.finish_reason,
        served_model=reading.served_model,
    )


async def relay_stream(context: RequestContext, call: Call) -> None:
    """Hand on a stream. A client that leaves ends it at the provider too, and pays for what came until then.

    Raises:
        ApiError: the provider failed or refused, or the credit ran out; what was delivered is charged.
    """
    call.meter.open()
    client = context.watch_client()
    stream = call.request.open_stream()
    error: ApiError | None = None
    try:
        async with call.provider.stream(call.upstream) as upstream:
            # Not sooner: a call that is cancelled before the provider's headers leaves the provider at work.
            with client:
                await _hand_on(context, upstream, stream, call)
            if stream.failure is not None:
                raise stream.failure
            ending = _paid_ending(call, stream, Outcome.COMPLETED)
            await (await _close(call, ending, stream.last_event)).durable()
            await context.end(stream.last_event)
            await upstream.read_to_end()
    except ClientGone:
        await _close(call, _paid_ending(call, stream, Outcome.CANCELLED), b"")
        raise
    except ApiError as known:
        error = known
        raise
    finally:
        client.stop()
        if not call.meter.closed:
            ending = _raised_ending(context, call, stream, error or internal_error())
            await (await _close(call, ending, context.error_event(error or internal_error()))).durable()


async def _hand_on(context: RequestContext, upstream: ResponseChunks, stream: ResponseStream, call: Call) -> None:
    """Pass events on until the stream is over; an answer's start waits for its first event, so that a provider that
    fails before it still gets a status of its own.

    Raises:
        CutOff: what comes next is not paid for.
    """
    while not stream.is_over:
        # A usage is the end of an answer, and all is over; but some providers state one in each event.
        was_told_nothing = stream.tokens is None
        chunk = await upstream.read()
        events = stream.finish() if chunk is None else stream.feed(chunk)
        if events or stream.done:
            if not context.started:
                await call.meter.opened()
                content_type = stream.content_type or upstream.content_type.encode("latin-1")
                await context.start(HTTPStatus.OK, content_type, _STREAM_HEADERS)
            if not call.allowance.take(events) and not (was_told_nothing and stream.tokens is not None):
                await _extend(context, stream, call.allowance, events)
            await context.write(events)


async def _extend(context: RequestContext, stream: ResponseStream, allowance: OutputReservation, events: bytes) -> None:
    """Have the events paid for, or end the answer with those that are."""
    try:
        await allowance.extend(partial(_count, stream))
    except ApiError as error:
        await context.write(allowance.covered_part(events) + stream.truncation_event(allowance.size.choices))
        raise CutOff(error) from error


def _paid_ending(call: Call, stream: ResponseStream, outcome: Outcome) -> RequestOutcome:
    """The provider's own count; without one, the prompt's and the delivered text's tokens."""
    tokens = stream.tokens or call.request.estimate(stream.delivered_tokens())
    return _stream_ending(stream, outcome, tokens)


def _count(stream: ResponseStream) -> int:
    """Tokens generated so far: as many as were delivered, and more if the provider has said so."""
    told = 0 if stream.tokens is None else stream.tokens.completion
    return max(told, stream.delivered_tokens())


def _raised_ending(context: RequestContext, call: Call, stream: ResponseStream, error: ApiError) -> RequestOutcome:
    """Whatever else goes wrong: what was begun is closed."""
    try:
        if isinstance(error, CutOff):
            return _cut_ending(call, stream, error)
        return _failed_ending(context, stream, error)
    except Exception:
        log.exception("request %s: its usage cannot be told", context.request_id)
        return RequestOutcome(Outcome.BROKEN, HTTPStatus.OK, error_code=error.code)


def _cut_ending(call: Call, stream: ResponseStream, error: CutOff) -> RequestOutcome:
    """As for a client that left, but never more than was reserved: what nobody pays was not handed on."""
    output = min(_count(stream), call.allowance.covered_tokens)
    return RequestOutcome(
        Outcome.CUT_OFF,
        HTTPStatus.OK,
        call.request.estimate(output),
        estimated=True,
        finish_reason=CUT_OFF_REASON,
        served_model=stream.served_model,
        error_code=error.code,
    )


def _failed_ending(context: RequestContext, stream: ResponseStream, error: ApiError) -> RequestOutcome:
    """What was delivered is charged, the prompt is not: the client has not got what it asked for."""
    if not context.started:
        return _refused_ending(error)
    output = stream.delivered_tokens()
    tokens = stream.tokens or (TokenCounts(output=output) if output else None)
    return _stream_ending(stream, Outcome.BROKEN, tokens, error.code)


def _refused_ending(error: ApiError) -> RequestOutcome:
    return RequestOutcome(Outcome.REFUSED, error.status, error_code=error.code)


def _stream_ending(
    stream: ResponseStream, outcome: Outcome, tokens: TokenCounts | None, error_code: str = ""
) -> RequestOutcome:
    return RequestOutcome(
        outcome,
        HTTPStatus.OK,
        tokens,
        estimated=stream.tokens is None,
        finish_reason=stream.finish_reason,
        served_model=stream.served_model,
        error_code=error_code,
    )
