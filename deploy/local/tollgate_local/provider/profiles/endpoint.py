"""Selection of a profile and delivery of its response."""

from typing import Final

import msgspec

from tollgate_local.provider.behavior import Behavior, UsageFault, find_behavior, parse_behavior
from tollgate_local.provider.decoding import decode
from tollgate_local.provider.delivery import Rendering, check_error, deliver
from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.gemini import GeminiRequest
from tollgate_local.provider.generation import generate
from tollgate_local.provider.http_exchange import HttpExchange
from tollgate_local.provider.messages import MessagesRequest
from tollgate_local.provider.models import Model
from tollgate_local.provider.prefix_cache import MIN_CACHED_TOKENS, PrefixCache
from tollgate_local.provider.profiles.catalog import PROFILES, profile_named, respond
from tollgate_local.provider.profiles.profile import Profile, Protocol, Stated
from tollgate_local.provider.profiles.truth import truth_of
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.request import ChatRequest

HEADER: Final = b"x-simulated-provider"
_PREFIX: Final = "zoo/"
_CREATED, _CONTEXT_TOKENS = 1_790_000_000, 1_048_576

_encode: Final = msgspec.json.Encoder().encode
_CHAT: Final = msgspec.json.Decoder(ChatRequest)
_MESSAGES: Final = msgspec.json.Decoder(MessagesRequest)
_GEMINI: Final = msgspec.json.Decoder(GeminiRequest)


class _Named(msgspec.Struct):
    model: str = ""


_NAMED: Final = msgspec.json.Decoder(_Named)


class ProfileEndpoint:
    """Responds to requests that select a profile."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._prefixes = PrefixCache()

    async def serve(self, exchange: HttpExchange) -> bool:
        """Respond if the request selects a profile; return whether it does.

        The response to a request that names an unknown profile is OpenAI's error.

        Raises:
            ApiError: the profile is unknown or has another endpoint.
        """
        protocol = _protocol(exchange.path)
        if protocol is None or exchange.method != "POST":
            return False
        profile = await _selected(exchange, protocol)
        if profile is None:
            return False
        if profile.protocol is not protocol:
            message = f"The profile '{profile.name}' responds at {profile.protocol}, not at {exchange.path}."
            raise ApiError(404, message, code="model_not_found")
        try:
            await self._respond(exchange, profile)
        except ApiError as error:
            self._recorder.stats.errors += 1
            status, body = profile.error(error)
            await exchange.answer(status, _encode(body), headers=error.headers)
        return True

    async def _respond(self, exchange: HttpExchange, profile: Profile) -> None:
        body = await exchange.body()
        request, streaming, behavior = _parse(exchange, profile, body)
        await check_error(exchange, behavior, streaming=streaming)
        model = Model(request.model, _CREATED, _CONTEXT_TOKENS, reasons=True, owner=profile.name)
        # One choice, whatever the request asks for.
        request.n = None
        generation = generate(request, model, self._prefixes, behavior.tokens)
        truth = truth_of(generation, writes_cache=_writes_cache(profile, generation.prompt_tokens, body))
        responses = respond(
            profile,
            truth,
            asks_usage=request.includes_usage,
            states_usage=behavior.usage_fault is not UsageFault.MISSING,
        )
        rendering = Rendering(
            responses.whole,
            responses.opening(),
            responses.content(),
            responses.closing(),
            responses.last,
            error_event=responses.error_event,
        )
        await deliver(exchange, self._recorder, generation, rendering, behavior, streaming=streaming)


def _protocol(path: str) -> Protocol | None:
    if path in {Protocol.CHAT, Protocol.MESSAGES}:
        return Protocol(path)
    return Protocol.GEMINI if path.startswith(Protocol.GEMINI) else None


async def _selected(exchange: HttpExchange, protocol: Protocol) -> Profile | None:
    """Return the profile that the header or the model names; None if neither names one."""
    header = exchange.header(HEADER)
    if header:
        return profile_named(header.decode("latin-1"))
    model = _gemini_model(exchange.path) if protocol is Protocol.GEMINI else _model(await exchange.body())
    if model.startswith(_PREFIX):
        return profile_named(model.removeprefix(_PREFIX))
    return PROFILES.get(model.partition("/")[0]) if "/" in model else None


def _model(body: bytes) -> str:
    try:
        return _NAMED.decode(body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The endpoint of the path explains what is wrong.
        return ""


def _gemini_model(path: str) -> str:
    return path.removeprefix(Protocol.GEMINI).partition(":")[0]


def _parse(exchange: HttpExchange, profile: Profile, body: bytes) -> tuple[ChatRequest, bool, Behavior]:
    """Return the request, whether its response is streamed, and the requested behavior."""
    if profile.protocol is Protocol.CHAT:
        chat = decode(_CHAT, body)
        behavior = parse_behavior(chat.simulate) if chat.simulate else find_behavior(body)
        return chat, bool(chat.stream), behavior
    if profile.protocol is Protocol.MESSAGES:
        messages = decode(_MESSAGES, body)
        return messages.as_chat(), bool(messages.stream), find_behavior(body)
    method = exchange.path.partition(":")[2]
    if method not in {"generateContent", "streamGenerateContent"}:
        raise ApiError(404, f"Unknown method '{method}'.")
    gemini = decode(_GEMINI, body)
    return gemini.as_chat(_gemini_model(exchange.path)), method == "streamGenerateContent", find_behavior(body)


def _writes_cache(profile: Profile, prompt_tokens: int, body: bytes) -> bool:
    is_marked = b'"cache_control"' in body or not profile.cache_needs_mark
    return Stated.WRITTEN in profile.states and is_marked and prompt_tokens >= MIN_CACHED_TOKENS
