"""Delivery of a response to the client, complete, streamed or with the requested failure, for every protocol."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tollgate_local.provider.behavior import Behavior, Failure
from tollgate_local.provider.errors import ApiError, ClientGoneError, simulated_error
from tollgate_local.provider.generation import Generation
from tollgate_local.provider.http_exchange import EVENT_STREAM, JSON, HttpExchange
from tollgate_local.provider.recorder import GenerationProgress, Outcome, Recorder

_MAX_SILENCE_SECONDS: Final = 600.0
# A stream without pauses still lets others have their turn, and sees its client leave, this often.
_CHUNKS_PER_TURN: Final = 16
_GARBAGE_BODY: Final = b"<html><body>upstream is having a bad day</body></html>"
_GARBAGE_EVENT: Final = b'data: {"choices":[{"delta":\xff oops\n\n'


@dataclass(frozen=True, slots=True)
class Rendering:
    """A response in one protocol. `content` yields each chunk with its tokens; `last` ends a stream."""

    whole: Callable[[], bytes]
    opening: Iterable[bytes] = ()
    content: Iterable[tuple[bytes, int]] = ()
    closing: Iterable[bytes] = ()
    last: bytes = b""
    content_type: bytes = JSON
    stream_type: bytes = EVENT_STREAM
    error_event: Callable[[ApiError], bytes] = lambda error: b"data: %b\n\n" % error.body()


async def check_error(exchange: HttpExchange, behavior: Behavior, *, streaming: bool) -> None:
    """Raise `ApiError` if the caller requested an error, or a failure that cannot happen to this kind of response."""
    behavior.check(streaming=streaming)
    if behavior.failure is Failure.ERROR:
        await exchange.wait(behavior.slow_first_byte_ms / 1000)
        raise simulated_error(behavior.failure_number)


async def deliver(
    exchange: HttpExchange,
    recorder: Recorder,
    generation: Generation,
    rendering: Rendering,
    behavior: Behavior,
    *,
    streaming: bool,
) -> None:
    progress = recorder.opened(generation, stream=streaming)
    try:
        if behavior.slow_first_byte_ms:
            await exchange.wait(behavior.slow_first_byte_ms / 1000)
        if behavior.failure is not None and not behavior.failure.in_stream:
            await _fail(exchange, rendering, behavior, progress)
        elif streaming:
            await _stream(exchange, rendering, behavior, progress)
        else:
            await _answer(exchange, rendering, progress)
    except ClientGoneError:
        progress.settle(Outcome.CANCELLED)
        raise
    finally:
        # For any other ending, such as a stop of this process. It has no effect on a settled generation.
        progress.settle(Outcome.BROKEN)


async def _answer(exchange: HttpExchange, rendering: Rendering, progress: GenerationProgress) -> None:
    body = rendering.whole()
    exchange.require_client()
    progress.thought()
    progress.delivered_all()
    progress.settle(Outcome.COMPLETED)
    await exchange.answer(200, body, rendering.content_type)


async def _fail(exchange: HttpExchange, rendering: Rendering, behavior: Behavior, progress: GenerationProgress) -> None:
    """Settle each failure before the client can observe it, so that a client that observes it finds it counted."""
    match behavior.failure:
        case Failure.HANG:
            await exchange.wait(_MAX_SILENCE_SECONDS)
            progress.settle(Outcome.BROKEN)
            await exchange.drop()
        case Failure.CLOSE:
            progress.settle(Outcome.BROKEN)
            await exchange.drop()
        case Failure.GARBAGE:
            progress.settle(Outcome.BROKEN)
            await exchange.answer(200, _GARBAGE_BODY)
        case Failure.TRUNCATE:
            body = rendering.whole()
            progress.thought()
            progress.wrote_without_delivery()
            progress.settle(Outcome.BROKEN)
            await exchange.start(200, rendering.content_type, ((b"content-length", b"%d" % len(body)),))
            await exchange.write(body[: len(body) // 2])
            await exchange.drop()


async def _stream(
    exchange: HttpExchange, rendering: Rendering, behavior: Behavior, progress: GenerationProgress
) -> None:
    await exchange.start(200, rendering.stream_type, ((b"cache-control", b"no-cache"),))
    progress.thought()
    for event in rendering.opening:
        await exchange.write(event)
    if behavior.failure is not None:
        await _send_content(exchange, islice(rendering.content, behavior.failure_number), behavior, progress)
        await _fail_stream(exchange, rendering, behavior.failure, progress)
        return
    await _send_content(exchange, rendering.content, behavior, progress)
    for event in rendering.closing:
        await exchange.write(event)
    exchange.require_client()
    progress.settle(Outcome.COMPLETED)
    await exchange.end(rendering.last)


async def _send_content(
    exchange: HttpExchange, content: Iterable[tuple[bytes, int]], behavior: Behavior, progress: GenerationProgress
) -> None:
    pause_seconds = behavior.slow_chunks_ms / 1000
    for sent, (event, tokens) in enumerate(content):
        if sent and (pause_seconds or sent % _CHUNKS_PER_TURN == 0):
            await exchange.wait(pause_seconds)
        await exchange.write(event)
        progress.delivered(tokens)


async def _fail_stream(
    exchange: HttpExchange, rendering: Rendering, failure: Failure, progress: GenerationProgress
) -> None:
    if failure is Failure.STALL_IN_STREAM:
        await exchange.wait(_MAX_SILENCE_SECONDS)
    progress.settle(Outcome.BROKEN)
    if failure is Failure.GARBAGE_IN_STREAM:
        await exchange.end(_GARBAGE_EVENT)
    elif failure is Failure.ERROR_IN_STREAM:
        await exchange.end(rendering.error_event(simulated_error(500)))
    else:
        await exchange.drop()
