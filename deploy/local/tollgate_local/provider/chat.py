"""`POST /v1/chat/completions`: generates the answer and delivers it, whole, streamed or broken as asked."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from tollgate_local.provider.errors import ClientGoneError, simulated_error
from tollgate_local.provider.exchange import EVENT_STREAM, JSON, Exchange
from tollgate_local.provider.generation import Generation, generate
from tollgate_local.provider.prefix_cache import PrefixCache
from tollgate_local.provider.recorder import Outcome, Progress, Recorder
from tollgate_local.provider.render import DONE, StreamEvents, completion_body
from tollgate_local.provider.request import parse_chat
from tollgate_local.provider.simulate import Behaviour, Break, parse_behaviour
from tollgate_local.provider.usage import stated_usage

_LONGEST_SILENCE_SECONDS: Final = 600.0
# A stream without pauses still lets others have their turn, and sees its client leave, this often.
_CHUNKS_A_TURN: Final = 16
_GARBAGE_BODY: Final = b"<html><body>upstream is having a bad day</body></html>"
_GARBAGE_EVENT: Final = b'data: {"choices":[{"delta":\xff oops\n\n'


class ChatEndpoint:
    def __init__(self, recorder: Recorder, prefixes: PrefixCache) -> None:
        self._recorder = recorder
        self._prefixes = prefixes

    async def __call__(self, exchange: Exchange) -> None:
        request, model = parse_chat(await exchange.body())
        behaviour = parse_behaviour(request.simulate)
        behaviour.check(streaming=bool(request.stream))
        if behaviour.broken is Break.ERROR:
            await exchange.wait(behaviour.slow_first_byte_ms / 1000)
            raise simulated_error(behaviour.break_number)
        generation = generate(request, model, self._prefixes, behaviour.tokens)
        progress = self._recorder.opened(generation, stream=bool(request.stream))
        try:
            if behaviour.slow_first_byte_ms:
                await exchange.wait(behaviour.slow_first_byte_ms / 1000)
            if behaviour.broken is not None and not behaviour.broken.in_stream:
                await _answer_broken(exchange, generation, behaviour, progress)
            elif request.stream:
                await _stream(exchange, generation, behaviour, progress, includes_usage=request.includes_usage)
            else:
                await _answer(exchange, generation, behaviour, progress)
        except ClientGoneError:
            progress.settle(Outcome.CANCELLED)
            raise
        finally:
            # Whatever else ended it, this process being stopped among them; no effect when it is settled.
            progress.settle(Outcome.BROKEN)


async def _answer(exchange: Exchange, generation: Generation, behaviour: Behaviour, progress: Progress) -> None:
    body = completion_body(generation, stated_usage(generation, behaviour.usage_fault))
    exchange.require_client()
    progress.thought()
    progress.delivered(generation.visible_tokens)
    progress.settle(Outcome.COMPLETED)
    await exchange.answer(200, body)


async def _answer_broken(exchange: Exchange, generation: Generation, behaviour: Behaviour, progress: Progress) -> None:
    """Each break is settled before the client can see it, so that whoever sees it finds it counted."""
    match behaviour.broken:
        case Break.HANG:
            await exchange.wait(_LONGEST_SILENCE_SECONDS)
            progress.settle(Outcome.BROKEN)
            await exchange.drop()
        case Break.CLOSE:
            progress.settle(Outcome.BROKEN)
            await exchange.drop()
        case Break.GARBAGE:
            progress.settle(Outcome.BROKEN)
            await exchange.answer(200, _GARBAGE_BODY)
        case Break.TRUNCATE:
            body = completion_body(generation, stated_usage(generation, behaviour.usage_fault))
            progress.thought()
            progress.wrote_without_delivery()
            progress.settle(Outcome.BROKEN)
            await exchange.start(200, JSON, ((b"content-length", b"%d" % len(body)),))
            await exchange.write(body[: len(body) // 2])
            await exchange.drop()


async def _stream(
    exchange: Exchange, generation: Generation, behaviour: Behaviour, progress: Progress, *, includes_usage: bool
) -> None:
    events = StreamEvents(generation, includes_usage=includes_usage)
    await exchange.start(200, EVENT_STREAM, ((b"cache-control", b"no-cache"),))
    progress.thought()
    for event in events.opening():
        await exchange.write(event)
    if behaviour.broken is not None:
        await _send_content(exchange, islice(events.content(), behaviour.break_number), behaviour, progress)
        await _break_stream(exchange, behaviour.broken, progress)
        return
    await _send_content(exchange, events.content(), behaviour, progress)
    for event in events.closing():
        await exchange.write(event)
    usage = stated_usage(generation, behaviour.usage_fault) if includes_usage else None
    if usage is not None:
        await exchange.write(events.usage(usage))
    exchange.require_client()
    progress.settle(Outcome.COMPLETED)
    await exchange.end(DONE)


async def _send_content(
    exchange: Exchange, content: Iterable[tuple[bytes, int]], behaviour: Behaviour, progress: Progress
) -> None:
    pause_seconds = behaviour.slow_chunks_ms / 1000
    for sent, (event, tokens) in enumerate(content):
        if sent and (pause_seconds or sent % _CHUNKS_A_TURN == 0):
            await exchange.wait(pause_seconds)
        await exchange.write(event)
        progress.delivered(tokens)


async def _break_stream(exchange: Exchange, kind: Break, progress: Progress) -> None:
    if kind is Break.STALL_IN_STREAM:
        await exchange.wait(_LONGEST_SILENCE_SECONDS)
    progress.settle(Outcome.BROKEN)
    if kind is Break.GARBAGE_IN_STREAM:
        await exchange.end(_GARBAGE_EVENT)
    elif kind is Break.ERROR_IN_STREAM:
        await exchange.end(b"data: %b\n\n" % simulated_error(500).body())
    else:
        await exchange.drop()
