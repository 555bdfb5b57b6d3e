"""From the provider to the client: a whole answer or a stream, metered on its way.

No byte of an answer leaves before the request's opening is durable, and not the last before its usage is. However a
request ends, it is closed: by whoever raised, by the client's leaving, or by the server's shutdown.
"""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from tollgate_common.events import Outcome
from tollgate_common.rating import TokenCounts
from tollgate_edge.allowance import Allowance
from tollgate_edge.delivered import count_answer
from tollgate_edge.errors import ApiError, ClientGone, CutOff, ProviderFailed, internal_error
from tollgate_edge.exchange import EVENT_STREAM, Exchange
from tollgate_edge.metering import Ending, RequestMeter
from tollgate_edge.providers.openai import OpenAIProvider, ProviderStream
from tollgate_edge.sse import CUT_OFF_REASON, DONE_EVENT, AnswerStream
from tollgate_edge.tokens import count_prompt
from tollgate_edge.usage import is_given, parse_usage

# A proxy in between must not hold back a stream in order to cache or to compress it.
_STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in: its body as the client sent it and as the provider gets it."""

    body: bytes
    upstream_body: bytes
    includes_usage: bool
    provider: OpenAIProvider
    meter: RequestMeter
    allowance: Allowance


async def relay_whole(exchange: Exchange, call: Call) -> None:
    """Answer with one JSON body. A client that leaves meanwhile pays for it: the provider generates it to the end.

    Raises:
        ApiError: the provider failed or refused; nothing is charged.
    """
    call.meter.open()
    client = exchange.watch_client()
    error: ApiError | None = None
    try:
        body = await call.provider.complete(call.upstream_body)
        ending = _whole_ending(call, body, Outcome.CANCELLED if client.gone else Outcome.COMPLETED)
        await call.meter.close(ending).durable()
    except ApiError as known:
        error = known
        raise
    finally:
        client.stop()
        if not call.meter.closed:
            await call.meter.close(_refused_ending(error or internal_error())).durable()
    await exchange.answer(HTTPStatus.OK, body)


def _whole_ending(call: Call, body: bytes, outcome: Outcome) -> Ending:
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProviderFailed(HTTPStatus.BAD_GATEWAY, "The provider's answer is no chat completion.") from error
    tokens = parse_usage(answer.usage) if is_given(answer.usage) else None
    reasons = [choice.finish_reason for choice in answer.choices if choice.finish_reason]
    return Ending(
        outcome,
        HTTPStatus.OK,
        tokens or TokenCounts(input=count_prompt(call.body), output=count_answer(body)),
        estimated=tokens is None,
        finish_reason=reasons[-1] if reasons else "",
        served_model=answer.model or "",
    )


async def relay_stream(exchange: Exchange, call: Call) -> None:
    """Hand on a stream. A client that leaves ends it at the provider too, and pays for what came until then.

    Raises:
        ApiError: the provider failed or refused, or the credit ran out; what was delivered is charged.
    """
    call.meter.open()
    client = exchange.watch_client()
    stream = AnswerStream(strips_usage=not call.includes_usage)
    error: ApiError | None = None
    try:
        async with call.provider.stream(call.upstream_body) as upstream:
            # Not sooner: a call that is cancelled before the provider's headers leaves the provider at work.
            with client:
                await _hand_on(exchange, upstream, stream, call)
            if stream.failure is not None:
                raise stream.failure
            await call.meter.close(_paid_ending(call, stream, Outcome.COMPLETED)).durable()
            await exchange.end(DONE_EVENT)
            await upstream.read_to_end()
    except ClientGone:
        call.meter.close(_paid_ending(call, stream, Outcome.CANCELLED))
        raise
    except ApiError as known:
        error = known
        raise
    finally:
        client.stop()
        if not call.meter.closed:
            ending = (
                _cut_ending(call, stream, error)
                if isinstance(error, CutOff)
                else _failed_ending(exchange, stream, error or internal_error())
            )
            await call.meter.close(ending).durable()


async def _hand_on(exchange: Exchange, upstream: ProviderStream, stream: AnswerStream, call: Call) -> None:
    """Pass events on until the stream is over; an answer's start waits for its first event, so that a provider that
    fails before it still gets a status of its own.

    Raises:
        CutOff: what comes next is not paid for.
    """
    while not stream.is_over:
        chunk = await upstream.read()
        events = stream.finish() if chunk is None else stream.feed(chunk)
        if events or stream.done:
            if not exchange.started:
                await call.meter.opened()
                await exchange.start(HTTPStatus.OK, EVENT_STREAM, _STREAM_HEADERS)
            if not call.allowance.take(events) and stream.tokens is None:
                await _extend(exchange, stream, call.allowance, events)
            await exchange.write(events)


async def _extend(exchange: Exchange, stream: AnswerStream, allowance: Allowance, events: bytes) -> None:
    """Have the events paid for, or end the answer with those that are."""
    try:
        await allowance.extend()
    except ApiError as error:
        await exchange.write(allowance.covered_part(events) + stream.cut_event(allowance.size.choices))
        raise CutOff(error) from error


def _paid_ending(call: Call, stream: AnswerStream, outcome: Outcome) -> Ending:
    """The provider's own count; without one, the prompt's and the delivered text's tokens."""
    tokens = stream.tokens or TokenCounts(input=count_prompt(call.body), output=stream.delivered.count_tokens())
    return _stream_ending(stream, outcome, tokens)


def _cut_ending(call: Call, stream: AnswerStream, error: CutOff) -> Ending:
    """As for a client that left, but never more than was reserved: what nobody pays was not handed on."""
    output = min(stream.delivered.count_tokens(), call.allowance.covered_tokens)
    return Ending(
        Outcome.CUT_OFF,
        HTTPStatus.OK,
        TokenCounts(input=count_prompt(call.body), output=output),
        estimated=True,
        finish_reason=CUT_OFF_REASON,
        served_model=stream.served_model,
        error_code=error.code,
    )


def _failed_ending(exchange: Exchange, stream: AnswerStream, error: ApiError) -> Ending:
    """What was delivered is charged, the prompt is not: the client has not got what it asked for."""
    if not exchange.started:
        return _refused_ending(error)
    output = stream.delivered.count_tokens()
    tokens = stream.tokens or (TokenCounts(output=output) if output else None)
    return _stream_ending(stream, Outcome.BROKEN, tokens, error.code)


def _refused_ending(error: ApiError) -> Ending:
    return Ending(Outcome.REFUSED, error.status, error_code=error.code)


def _stream_ending(stream: AnswerStream, outcome: Outcome, tokens: TokenCounts | None, error_code: str = "") -> Ending:
    return Ending(
        outcome,
        HTTPStatus.OK,
        tokens,
        estimated=stream.tokens is None,
        finish_reason=stream.finish_reason,
        served_model=stream.served_model,
        error_code=error_code,
    )
