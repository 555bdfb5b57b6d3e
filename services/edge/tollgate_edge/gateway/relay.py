"""Relays the provider's response to the client, whole or as a stream, and meters it on its way.

No byte of a response leaves before the request's opening is durable. The last byte does not leave before its usage is
durable. However a request ends, it is closed: by an error, by the client's leaving, or by the server's shutdown.
"""

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from tollgate_edge.credit.reservation import OutputReservation
from tollgate_edge.endpoints.base import ParsedResponse, ResponseStream
from tollgate_edge.event_log.request_events import RequestOutcome
from tollgate_edge.gateway.admitted_request import AdmittedRequest
from tollgate_edge.gateway.outcomes import NOTHING_DELIVERED, Delivery, Ending, outcome_of, unknown_usage
from tollgate_edge.http.errors import ApiError, ClientGone, CutOff, ProviderError, internal_error
from tollgate_edge.http.request_context import RequestContext
from tollgate_edge.providers.base import ResponseChunks
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import SettledUsage

log = logging.getLogger(__name__)

# A proxy in between must not hold back a stream in order to cache or to compress it.
_STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


async def relay_whole(context: RequestContext, admitted: AdmittedRequest) -> None:
    """Send one JSON body. A client that leaves meanwhile still pays: the provider generates to the end.

    Raises:
        ApiError: the provider failed or rejected the request; nothing is charged.
    """
    admitted.meter.open()
    error: ApiError | None = None
    try:
        response = await admitted.attempts.complete(admitted.upstream)
        ending = Ending.CLIENT_LEFT if context.has_client_left() else Ending.COMPLETED
        outcome = outcome_of(ending, _parsed(admitted.request.parse_response(response.body)))
        context.content_type = response.content_type.encode("latin-1")
        await (await admitted.close(outcome, response.body)).durable()
    except ApiError as known:
        error = known
        raise
    finally:
        if not admitted.is_closed:
            outcome = outcome_of(Ending.FAILED, NOTHING_DELIVERED, error or internal_error())
            await (await admitted.close(outcome, b"")).durable()
    await context.answer(HTTPStatus.OK, response.body, response.content_type.encode("latin-1"))


async def relay_stream(context: RequestContext, admitted: AdmittedRequest) -> None:
    """Relay a stream. A client that leaves ends it at the provider too, and pays for what came until then.

    Raises:
        ApiError: the provider failed or rejected the request, or the credit ran out; what was delivered is charged.
    """
    admitted.meter.open()
    client = context.watch_client()
    stream = admitted.request.open_stream()
    upstream: ResponseChunks | None = None
    error: ApiError | None = None
    try:
        async with admitted.attempts.stream(admitted.upstream) as upstream:
            # Not sooner: a call that is canceled before the provider's headers leaves the provider at work.
            with client:
                await _relay_events(context, upstream, stream, admitted)
            if stream.failure is not None:
                raise stream.failure
            outcome = outcome_of(Ending.COMPLETED, _delivered(context, admitted, stream, upstream))
            await (await admitted.close(outcome, stream.last_event)).durable()
            await context.end(stream.last_event)
            await upstream.read_to_end()
    except ClientGone:
        await admitted.close(outcome_of(Ending.CLIENT_LEFT, _delivered(context, admitted, stream, upstream)), b"")
        raise
    except ApiError as known:
        error = known
        raise
    finally:
        client.stop()
        if not admitted.is_closed:
            cause = error or internal_error()
            outcome = _failed(context, admitted, stream, upstream, cause)
            await (await admitted.close(outcome, context.error_event(cause))).durable()


async def _relay_events(
    context: RequestContext, upstream: ResponseChunks, stream: ResponseStream, admitted: AdmittedRequest
) -> None:
    """Pass events on until the stream is over.

    The start of the response waits for the first event, so that a provider that fails before it still gets a status of
    its own.

    Raises:
        CutOff: the credit does not cover what comes next.
    """
    reservation = admitted.reservation
    assert reservation is not None
    has_ended = False
    while not stream.is_over:
        chunk = await _read(upstream, stream)
        events = stream.finish() if chunk is None else stream.feed(chunk)
        usage = _usage(upstream, stream)
        # No credit is needed for what ends the response, unless it has text of its own. It ends once: a provider may
        # state usage in each event.
        ends = not has_ended and usage.is_final and bool(stream.finish_reason)
        has_ended = has_ended or ends
        if events or stream.done:
            if not context.started:
                await admitted.meter.opened()
                content_type = stream.content_type or upstream.content_type.encode("latin-1")
                await context.start(HTTPStatus.OK, content_type, _STREAM_HEADERS)
            is_covered = reservation.take(events, 0 if has_ended else usage.output)
            if not is_covered and not (ends and reservation.covers(stream.delivered_tokens())):
                count = stream.delivered_tokens if has_ended else partial(_count, stream, usage)
                await _extend(context, stream, reservation, events, count)
            await context.write(events)


def _usage(upstream: ResponseChunks | None, stream: ResponseStream) -> StreamUsage:
    """Return what the provider has stated: to the translator of its stream if there is one, else in the stream."""
    return (None if upstream is None else upstream.usage) or stream.usage


async def _read(upstream: ResponseChunks, stream: ResponseStream) -> bytes | None:
    """Read on. A response with its finish and its usage is complete, whatever the connection does after them."""
    try:
        return await upstream.read()
    except ProviderError:
        if stream.finish_reason and _usage(upstream, stream).is_final:
            return None
        raise


async def _extend(
    context: RequestContext,
    stream: ResponseStream,
    reservation: OutputReservation,
    events: bytes,
    count: Callable[[], int],
) -> None:
    """Reserve credit for the events, or end the response with those that are covered."""
    try:
        await reservation.extend(count)
    except ApiError as error:
        await context.write(reservation.covered_part(events) + stream.truncation_event(reservation.size.choices))
        raise CutOff(error) from error


def _count(stream: ResponseStream, usage: StreamUsage) -> int:
    """Tokens generated so far: as many as were delivered, or more if the provider has stated so."""
    return max(usage.output, stream.delivered_tokens())


def _parsed(response: ParsedResponse) -> Delivery:
    return Delivery(
        has_started=True,
        count_output=lambda: 0,
        estimate=lambda _: response.tokens,
        settled=SettledUsage(response.tokens, response.estimated, response.is_usage_impossible),
        finish_reason=response.finish_reason,
        served_model=response.served_model,
    )


def _delivered(
    context: RequestContext, admitted: AdmittedRequest, stream: ResponseStream, upstream: ResponseChunks | None
) -> Delivery:
    assert admitted.reservation is not None
    usage = _usage(upstream, stream)
    return Delivery(
        has_started=context.started,
        count_output=stream.delivered_tokens,
        estimate=admitted.request.estimate,
        stated=usage.stated,
        is_final=usage.is_final,
        settled=None if stream.tokens is None else SettledUsage(stream.tokens),
        covered_tokens=admitted.reservation.covered_tokens,
        finish_reason=stream.finish_reason,
        served_model=stream.served_model,
    )


def _failed(
    context: RequestContext,
    admitted: AdmittedRequest,
    stream: ResponseStream,
    upstream: ResponseChunks | None,
    error: ApiError,
) -> RequestOutcome:
    """The outcome of a stream that ended with an error. Never raises: a request that was opened is closed."""
    ending = Ending.CUT_OFF if isinstance(error, CutOff) else Ending.FAILED
    try:
        return outcome_of(ending, _delivered(context, admitted, stream, upstream), error)
    except Exception:
        log.exception("request %s: its usage cannot be determined", context.request_id)
        return unknown_usage(error)
