"""`POST /v1/chat/completions`: generates a response and delivers it, complete or streamed."""

from collections.abc import Iterator

from tollgate_local.provider.behavior import parse_behavior
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.generation import generate
from tollgate_local.provider.http_exchange import HttpExchange
from tollgate_local.provider.prefix_cache import PrefixCache
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.render import DONE, StreamEvents, completion_body
from tollgate_local.provider.request import parse_chat
from tollgate_local.provider.usage import build_usage


class ChatEndpoint:
    def __init__(self, recorder: Recorder, prefixes: PrefixCache) -> None:
        self._recorder = recorder
        self._prefixes = prefixes

    async def __call__(self, exchange: HttpExchange) -> None:
        request, model = parse_chat(await exchange.body())
        streaming = bool(request.stream)
        behavior = parse_behavior(request.simulate)
        await check_error(exchange, behavior, streaming=streaming)
        generation = generate(request, model, self._prefixes, behavior.tokens)
        usage = build_usage(generation, behavior.usage_fault)
        events = StreamEvents(generation, includes_usage=request.includes_usage)

        def closing() -> Iterator[bytes]:
            yield from events.closing()
            if request.includes_usage and usage is not None:
                yield events.usage(usage)

        rendering = Rendering(
            lambda: completion_body(generation, usage), events.opening(), events.content(), closing(), DONE
        )
        await deliver(exchange, self._recorder, generation, rendering, behavior, streaming=streaming)
