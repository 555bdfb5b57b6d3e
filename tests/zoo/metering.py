"""What the edge meters for the bytes of a profile, without a server: its translators, then its parsers."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from edge.recorded import RecordedChunks
from tollgate_common.rating import TokenCounts
from tollgate_edge.endpoints.base import ModelRequest
from tollgate_edge.endpoints.chat import parse as parse_chat
from tollgate_edge.endpoints.messages import MessagesRequest
from tollgate_edge.http.errors import ProviderFailed
from tollgate_edge.providers.base import ResponseChunks
from tollgate_edge.providers.translators import anthropic_to_openai, openai_to_anthropic, openai_to_gemini
from tollgate_edge.providers.translators.base import EventTranslator, TranslatedChunks, translate_response_body
from tollgate_edge.usage.merging import stated_classes
from tollgate_local.provider.profiles.profile import Profile, Protocol
from tollgate_local.provider.profiles.truth import Truth
from tollgate_local.provider.prose import passage

CHUNK_BYTES = 97
ASKED = "What flows past the harbor?"


class Metered(NamedTuple):
    """`estimate` is what the edge counts in the response itself; `tokens` is None if it read no usage."""

    tokens: TokenCounts | None
    estimate: int
    finish_reason: str
    failure: ProviderFailed | None
    forwarded: bytes


def truth(thought: int = 7, visible: int = 5, prompt: int = 2_000, cached: int = 0, written: int = 0) -> Truth:
    reasoning = passage(3, thought) if thought else ()
    return Truth(prompt, passage(40, visible), reasoning, cached, written)


def chat_request(*, asks_usage: bool = True) -> ModelRequest:
    body: dict[str, Any] = {"model": "m", "stream": True, "messages": [{"role": "user", "content": ASKED}]}
    if asks_usage:
        body["stream_options"] = {"include_usage": True}
    return parse_chat(json.dumps(body).encode(), {})


def messages_request() -> ModelRequest:
    body = {"model": "m", "stream": True, "max_tokens": 100, "messages": [{"role": "user", "content": ASKED}]}
    return MessagesRequest(json.dumps(body).encode(), {})


def metered_whole(profile: Profile, body: bytes, request: ModelRequest) -> Metered:
    """Meter a complete response."""
    wants_messages = isinstance(request, MessagesRequest)
    if not (wants_messages and profile.protocol is Protocol.MESSAGES):
        if profile.protocol is Protocol.MESSAGES:
            body = translate_response_body(body, openai_to_anthropic.translate_response)
        elif profile.protocol is Protocol.GEMINI:
            body = translate_response_body(body, openai_to_gemini.translate_response)
        if wants_messages:
            body = translate_response_body(body, anthropic_to_openai.translate_response)
    parsed = request.parse_response(body)
    counts = parsed.tokens or TokenCounts()
    tokens = None if parsed.estimated else parsed.tokens
    return Metered(tokens, counts.output + counts.reasoning, parsed.finish_reason, None, body)


def metered_stream(
    profile: Profile, data: bytes, request: ModelRequest, *, chunk_bytes: int = CHUNK_BYTES, is_cut: bool = False
) -> Metered:
    """Meter a stream that arrives in pieces of `chunk_bytes`. A cut one has not ended when it is metered."""
    translators: list[EventTranslator] = []
    wants_messages = isinstance(request, MessagesRequest)
    if not (wants_messages and profile.protocol is Protocol.MESSAGES):
        if profile.protocol is Protocol.MESSAGES:
            translators.append(openai_to_anthropic.StreamTranslator())
        elif profile.protocol is Protocol.GEMINI:
            translators.append(openai_to_gemini.StreamTranslator())
        if wants_messages:
            translators.append(anthropic_to_openai.StreamTranslator())
    return asyncio.run(_metered(RecordedChunks(_chunks(data, chunk_bytes)), translators, request, is_cut=is_cut))


async def _metered(
    chunks: ResponseChunks, translators: Sequence[EventTranslator], request: ModelRequest, *, is_cut: bool
) -> Metered:
    for translator in translators:
        chunks = TranslatedChunks(chunks, translator)
    stream = request.open_stream()
    forwarded = b""
    while (part := await chunks.read()) is not None:
        forwarded += stream.feed(part)
    if not is_cut:
        forwarded += stream.finish()
    tokens = stated_classes((chunks.usage or stream.usage).stated)
    return Metered(tokens, stream.delivered_tokens(), stream.finish_reason, stream.failure, forwarded)


def _chunks(data: bytes, chunk_bytes: int) -> Iterator[bytes]:
    return (data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes))
