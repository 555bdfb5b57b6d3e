"""An answer on its way to the client, whole, streamed or broken as asked, whatever protocol it is worded in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tollgate_local.provider.errors import ApiError, ClientGoneError, simulated_error
from tollgate_local.provider.exchange import EVENT_STREAM, JSON, Exchange
from tollgate_local.provider.generation import Generation
from tollgate_local.provider.recorder import Outcome, Progress, Recorder
from tollgate_local.provider.simulate import Behaviour, Break

_MAX_SILENCE_SECONDS: Final = 600.0
# A stream without pauses still lets others have their turn, and sees its client leave, this often.
_CHUNKS_A_TURN: Final = 16
_GARBAGE_BODY: Final = b"<html><body>upstream is having a bad day</body></html>"
_GARBAGE_EVENT: Final = b'data: {"choices":[{"delta":\xff oops\n\n'


@dataclass(frozen=True, slots=True)
class Rendering:
    """An answer in one protocol. `content` is each chunk with the tokens in it; `last` ends a stream."""

    whole: Callable[[], bytes]
    opening: Iterable[bytes] = ()
    content: Iterable[tuple[bytes, int]] = ()
    closing: Iterable[bytes] = ()
    last: bytes = b""
    content_type: bytes = JSON
    stream_type: bytes = EVENT_STREAM
    error_event: Callable[[ApiError], bytes] = lambda error: b"data: %b\n\n" % error.body()


async def check_error(exchange: Exchange, behaviour: Behaviour, *, streaming: bool) -> None:
    """Before an answer is made: `ApiError` if there shall be none, or if the break cannot happen to it."""
    behaviour.check(streaming=streaming)
    if behaviour.broken is Break.ERROR:
        await exchange.wait(behaviour.slow_first_byte_ms / 1000)
        raise simulated_error(behaviour.break_number)


async def deliver(
    exchange: Exchange,
    recorder: Recorder,
    generation: Generation,
    rendering: Rendering,
    behaviour: Behaviour,
    *,
    streaming: bool,
) -> None:
    progress = recorder.opened(generation, stream=streaming)
    try:
        if behaviour.slow_first_byte_ms:
            await exchange.wait(behaviour.slow_first_byte_ms / 1000)
        if behaviour.broken is not None and not behaviour.broken.in_stream:
            await _answer_broken(exchange, rendering, behaviour, progress)
        elif streaming:
            await _stream(exchange, rendering, behaviour, progress)
        else:
            await _answer(exchange, rendering, progress)
    except ClientGoneError:
        progress.settle(Outcome.CANCELLED)
        raise
    finally:
        # Whatever else ended it, this process being stopped among them; no effect when it is settled.
        progress.settle(Outcome.BROKEN)


async def _answer(exchange: Exchange, rendering: Rendering, progress: Progress) -> None:
    body = rendering.whole()
    exchange.require_client()
    progress.thought()
    progress.delivered_all()
    progress.settle(Outcome.COMPLETED)
    await exchange.answer(200, body, rendering.content_type)


async def _answer_broken(exchange: Exchange, rendering: Rendering, behaviour: Behaviour, progress: Progress) -> None:
    """Each break is settled before the client can see it, so that whoever sees it finds it counted."""
    match behaviour.broken:
        case Break.HANG:
            await exchange.wait(_MAX_SILENCE_SECONDS)
            progress.settle(Outcome.BROKEN)
            await exchange.drop()
        case Break.CLOSE:
            progress.settle(Outcome.BROKEN)
            await exchange.drop()
        case Break.GARBAGE:
            progress.settle(Outcome.BROKEN)
            await exchange.answer(200, _GARBAGE_BODY)
        case Break.TRUNCATE:
            body = rendering.whole()
            progress.thought()
            progress.wrote_without_delivery()
            progress.settle(Outcome.BROKEN)
            await exchange.start(200, rendering.content_type, ((b"content-length", b"%d" % len(body)),))
            await exchange.write(body[: len(body) // 2])
            await exchange.drop()


async def _stream(exchange: Exchange, rendering: Rendering, behaviour: Behaviour, progress: Progress) -> None:
    await exchange.start(200, rendering.stream_type, ((b"cache-control", b"no-cache"),))
    progress.thought()
    for event in rendering.opening:
        await exchange.write(event)
    if behaviour.broken is not None:
        await _send_content(exchange, islice(rendering.content, behaviour.break_number), behaviour, progress)
        await _break_stream(exchange, rendering, behaviour.broken, progress)
        return
    await _send_content(exchange, rendering.content, behaviour, progress)
    for event in rendering.closing:
        await exchange.write(event)
    exchange.require_client()
    progress.settle(Outcome.COMPLETED)
    await exchange.end(rendering.last)


async def _send_content(
    exchange: Exchange, content: Iterable[tuple[bytes, int]], behaviour: Behaviour, progress: Progress
) -> None:
    pause_seconds = behaviour.slow_chunks_ms / 1000
    for sent, (event, tokens) in enumerate(content):
        if sent and (pause_seconds or sent % _CHUNKS_A_TURN == 0):
            await exchange.wait(pause_seconds)
        await exchange.write(event)
        progress.delivered(tokens)


async def _break_stream(exchange: Exchange, rendering: Rendering, kind: Break, progress: Progress) -> None:
    if kind is Break.STALL_IN_STREAM:
        await exchange.wait(_MAX_SILENCE_SECONDS)
    progress.settle(Outcome.BROKEN)
    if kind is Break.GARBAGE_IN_STREAM:
        await exchange.end(_GARBAGE_EVENT)
    elif kind is Break.ERROR_IN_STREAM:
        await exchange.end(rendering.error_event(simulated_error(500)))
    else:
        await exchange.drop()
