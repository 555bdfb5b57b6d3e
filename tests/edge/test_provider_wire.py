"""What comes from a provider over HTTP: compressed bodies, errors with status 200, and the attempts that they cause."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import cramjam
import pytest
from backports import zstd

from edge.scripted_provider import Script, ScriptedServer, scripted_provider
from tollgate_edge.http.errors import ProviderError, ProviderFailed, ProviderRefused
from tollgate_edge.providers.anthropic import AnthropicProvider
from tollgate_edge.providers.base import JSON, Operation, Provider, ProviderRequest, ResponseChunks
from tollgate_edge.providers.gemini import GeminiProvider
from tollgate_edge.providers.http_transport import Timeouts
from tollgate_edge.providers.messages_via_chat import MessagesViaChat
from tollgate_edge.providers.openai import OpenAIProvider
from tollgate_edge.routing.circuit_breaker import CircuitBreaker
from tollgate_edge.routing.config import RetryConfig
from tollgate_edge.routing.retries import Attempts
from tollgate_edge.routing.routes import Connection, Target

TIMEOUTS = Timeouts(connect_s=2, read_s=2)
KEY = "sk-operators-own-key"
CHAT = ProviderRequest(Operation.CHAT, "m", b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}')
MESSAGES = CHAT._replace(operation=Operation.MESSAGES)
CHUNK = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
COMPLETION = b'{"id":"c","model":"m","choices":[{"message":{"role":"assistant","content":"hi"}}],"usage":null}'
GOOD_STREAM = Script([CHUNK, b"data: [DONE]\n\n"])
GOOD = Script([COMPLETION], content_type=JSON)
NO_WAIT = RetryConfig(attempts=2, first_delay_s=0.01, longest_delay_s=0.02)


def openai(url: str) -> Provider:
    return OpenAIProvider(url, KEY, TIMEOUTS)


@asynccontextmanager
async def connected(
    *scripts: Script, create: Callable[[str], Provider] = openai
) -> AsyncIterator[tuple[ScriptedServer, Provider]]:
    async with scripted_provider(*scripts) as server:
        provider = create(server.url)
        try:
            yield server, provider
        finally:
            await provider.aclose()


async def read_all(chunks: ResponseChunks) -> bytes:
    parts = []
    while (part := await chunks.read()) is not None:
        parts.append(part)
    return b"".join(parts)


class _Cramjam:
    """Brotli with the methods of `zlib`'s compressors."""

    def __init__(self) -> None:
        self._compressor = cramjam.brotli.Compressor()

    def compress(self, data: bytes) -> bytes:
        self._compressor.compress(data)
        return bytes(self._compressor.flush())

    def flush(self) -> bytes:
        return bytes(self._compressor.finish())


def compressed(encoding: str, pieces: list[bytes]) -> list[bytes]:
    """Compress a stream so that each piece can be decoded when it arrives."""
    if encoding == "br":
        brotli = _Cramjam()
        return [*map(brotli.compress, pieces), brotli.flush()]
    if encoding == "zstd":
        zstandard = zstd.ZstdCompressor()
        sent = [zstandard.compress(piece, zstd.ZstdCompressor.FLUSH_BLOCK) for piece in pieces]
        return [*sent, zstandard.flush()]
    deflate = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    return [*(deflate.compress(piece) + deflate.flush(zlib.Z_SYNC_FLUSH) for piece in pieces), deflate.flush()]


ENCODINGS = ["gzip", "br", "zstd", "deflate"]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_compressed_response_is_decoded(encoding: str) -> None:
    body = compressed(encoding, [COMPLETION])
    script = Script(body, headers=[("content-encoding", encoding)], content_type=JSON)
    async with connected(script) as (server, provider):
        assert (await provider.complete(CHAT)).body == COMPLETION
        # It was not asked to.
        assert b"\r\naccept-encoding: identity\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_compressed_stream_is_decoded_as_it_arrives(encoding: str) -> None:
    pieces = [CHUNK, CHUNK, b"data: [DONE]\n\n"]
    sent = compressed(encoding, pieces)
    script = Script(sent, headers=[("content-encoding", encoding)], pause_s=0.05)
    async with connected(script) as (_, provider), provider.stream(CHAT) as chunks:
        assert [await chunks.read() for _ in pieces] == pieces
        assert await chunks.read() is None
        await chunks.read_to_end()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("stream", [True, False])
async def test_compressed_error_keeps_its_words(encoding: str, stream: bool) -> None:
    body = compressed(encoding, [b'{"error":{"message":"too long","code":"context_length_exceeded"}}'])
    script = Script(body, 400, [("content-encoding", encoding)], JSON)
    async with connected(script) as (_, provider):
        error = await failure(provider, CHAT, stream=stream)
        assert (error.status, str(error), error.code) == (400, "too long", "context_length_exceeded")


@pytest.mark.parametrize("stream", [True, False])
async def test_unknown_encoding_is_a_clear_failure(stream: bool) -> None:
    headers = [("content-encoding", "x-lzma")]
    async with connected(Script([b"??"], headers=headers, content_type=JSON)) as (_, provider):
        error = await failure(provider, CHAT, stream=stream)
        assert isinstance(error, ProviderFailed)
        assert (error.status, error.upstream_status) == (502, 200)
        assert "'x-lzma'" in str(error)
    async with connected(Script([b"??"], 429, headers)) as (_, provider):
        error = await failure(provider, CHAT, stream=stream)
        assert (error.status, str(error)) == (429, "The provider responded with status 429.")


async def test_broken_compression_is_a_failure() -> None:
    async with connected(Script([b"no gzip"], headers=[("content-encoding", "gzip")])) as (_, provider):
        for stream in (True, False):
            error = await failure(provider, CHAT, stream=stream)
            assert (error.status, error.sent) == (502, True)


async def failure(provider: Provider | Attempts, request: ProviderRequest, *, stream: bool) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await (read_stream(provider, request) if stream else provider.complete(request))
    return caught.value


async def read_stream(provider: Provider | Attempts, request: ProviderRequest) -> bytes:
    async with provider.stream(request) as chunks:
        return await read_all(chunks)


async def test_half_of_a_surrogate_pair_in_a_whole_response() -> None:
    body = rb'{"choices":[{"message":{"content":"cut \ud83d"}}]}'
    async with connected(Script([body], content_type=JSON)) as (_, provider):
        assert json.loads((await provider.complete(CHAT)).body)["choices"][0]["message"]["content"] == "cut \ufffd"


async def test_operators_key_is_not_forwarded() -> None:
    body = json.dumps({"error": {"message": f"Key {KEY} may not use this model"}}).encode()
    async with connected(Script([body], 400, content_type=JSON)) as (_, provider):
        assert str(await failure(provider, CHAT, stream=False)) == "Key *** may not use this model"


OVERLOAD = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
ERRORS: dict[str, tuple[Any, int, str]] = {
    "openrouter": ({"error": {"code": 429, "message": "slow down"}}, 429, "slow down"),
    "minimax": ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, 429, "rate limit"),
    "anthropic": (OVERLOAD, 529, "Overloaded"),
    "no-status": ({"error": {"message": "upstream failed"}}, 502, "upstream failed"),
    "clients": ({"error": {"code": "context_length_exceeded", "message": "too long"}}, 400, "too long"),
}
PROVIDERS: dict[str, tuple[Callable[[str], Provider], ProviderRequest]] = {
    "openai": (openai, CHAT),
    "anthropic": (lambda url: AnthropicProvider(url, KEY, TIMEOUTS), CHAT),
    "gemini": (lambda url: GeminiProvider(url, KEY, TIMEOUTS), CHAT),
    "messages": (lambda url: AnthropicProvider(url, KEY, TIMEOUTS), MESSAGES),
    "messages-via-chat": (lambda url: MessagesViaChat(openai(url)), MESSAGES),
}


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(("body", "status", "message"), ERRORS.values(), ids=ERRORS)
async def test_whole_error_with_status_200_has_its_own_status(name: str, body: Any, status: int, message: str) -> None:
    create, request = PROVIDERS[name]
    async with connected(Script([json.dumps(body).encode()], content_type=JSON), create=create) as (_, provider):
        error = await failure(provider, request, stream=False)
        assert isinstance(error, ProviderRefused)
        assert (error.upstream_status, str(error)) == (status, message)


def first_events(body: Any) -> dict[str, list[bytes]]:
    """The ways in which a stream begins with an error."""
    data = json.dumps(body).encode()
    event = b"data: " + data + b"\n\n"
    return {
        "event": [event],
        "named": [b"event: error\n" + event],
        "crlf": [b"event: error\r\ndata:" + data + b"\r\n\r\n"],
        "bytes": [bytes([byte]) for byte in b"\xef\xbb\xbf" + event],
        "comments": [b": PROCESSING\n\n", b": PROC", b"ESSING\n\n", event],
        "with-done": [event + b"data: [DONE]\n\n"],
        "no-end": [event[:-2]],
        "no-stream": [data],
        "no-stream-cut": [data[:9], data[9:]],
    }


@pytest.mark.parametrize(
    ("name", "error", "way"),
    [("openai", error, way) for error in ERRORS for way in first_events({})]
    + [(name, "anthropic", way) for name in PROVIDERS for way in first_events({})],
)
async def test_first_event_that_is_an_error_has_its_own_status(name: str, error: str, way: str) -> None:
    (create, request), (body, status, message) = PROVIDERS[name], ERRORS[error]
    async with connected(Script(first_events(body)[way]), create=create) as (_, provider):
        raised = await failure(provider, request, stream=True)
        assert isinstance(raised, ProviderRefused)
        assert (raised.upstream_status, str(raised)) == (status, message)


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNK, b'data: {"error":{"message":"late"}}\n\n'],
        [CHUNK + b'data: {"error":{"message":"late"}}\n\n'],
        [b": PROCESSING\n\n", CHUNK],
        [b'data: {"choices":[{"delta":{"content":"\\"error\\""}}],"error":null}\n\n'],
        [b"<html>\n\n"],
        [b"\n\n\n", CHUNK],
        [b"data: {"],
        [b""],
    ],
)
async def test_stream_that_does_not_begin_with_an_error_is_unchanged(pieces: list[bytes]) -> None:
    script = Script([piece for piece in pieces if piece])
    async with connected(script) as (_, provider), provider.stream(CHAT) as chunks:
        assert await read_all(chunks) == b"".join(pieces)
        assert await chunks.read() is None


async def test_first_event_is_forwarded_at_once() -> None:
    async with connected(Script([CHUNK, CHUNK], pause_s=0.3)) as (_, provider), provider.stream(CHAT) as chunks:
        async with asyncio.timeout(0.5):
            assert await chunks.read() == CHUNK


def target(provider: Provider, name: str, priority: int) -> Target:
    breaker = CircuitBreaker(failures_to_open=1, open_s=60)
    return Target(Connection(name, 1, provider), "m", 1, priority, breaker, name)


@asynccontextmanager
async def two_targets(
    first: Script, request: ProviderRequest = CHAT, second: Script | None = None
) -> AsyncIterator[tuple[Attempts, ScriptedServer, ScriptedServer]]:
    good = second or (GOOD_STREAM if request.stream else GOOD)
    async with connected(first) as (one, broken), connected(good) as (two, working):
        targets = [target(broken, "broken", 0), target(working, "working", 1)]
        yield Attempts(targets, NO_WAIT), one, two


@pytest.mark.parametrize("way", first_events({}))
@pytest.mark.parametrize("body", [ERRORS["openrouter"][0], OVERLOAD, ERRORS["no-status"][0]])
async def test_stream_that_begins_with_an_error_is_tried_elsewhere(way: str, body: Any) -> None:
    request = CHAT._replace(stream=True)
    async with two_targets(Script(first_events(body)[way]), request) as (attempts, _, working):
        sent = await read_stream(attempts, request)
        assert sent.replace(b": PROCESSING\n\n", b"") == CHUNK + b"data: [DONE]\n\n"
        assert attempts.served_by is not None
        assert (attempts.served_by.name, attempts.count) == ("working", 2)
        (failed,) = attempts.failed
        assert failed.target == "broken"
        assert failed.status in {429, 502, 529}
        assert len(working.requests) == 1


async def test_failed_stream_is_closed_before_the_next_attempt() -> None:
    request = CHAT._replace(stream=True)
    event = json.dumps(OVERLOAD).encode()
    endless = Script([b"data: " + event + b"\n\n", *[b": wait\n\n"] * 200], pause_s=0.02)
    async with two_targets(endless, request) as (attempts, broken, _):
        await read_stream(attempts, request)
        async with asyncio.timeout(2):
            while not broken.closed_early:
                await asyncio.sleep(0.02)


async def test_whole_error_with_status_200_is_tried_elsewhere() -> None:
    body = json.dumps(ERRORS["minimax"][0]).encode()
    async with two_targets(Script([body], content_type=JSON)) as (attempts, _, _working):
        assert (await attempts.complete(CHAT)).body == COMPLETION
        assert [failed.status for failed in attempts.failed] == [429]


@pytest.mark.parametrize("stream", [True, False])
async def test_clients_mistake_with_status_200_is_not_tried_elsewhere(stream: bool) -> None:
    request = CHAT._replace(stream=stream)
    body = json.dumps(ERRORS["clients"][0]).encode()
    script = Script([b"data: " + body + b"\n\n"]) if stream else Script([body], content_type=JSON)
    async with two_targets(script, request) as (attempts, _, working):
        error = await failure(attempts, request, stream=stream)
        assert (error.status, error.code) == (400, "context_length_exceeded")
        assert attempts.served_by is None
        assert (attempts.count, len(attempts.failed), working.requests) == (1, 1, [])
        # The provider is well.
        assert attempts.target.breaker.remaining_open_s(0) == 0


@pytest.mark.parametrize("status", [520, 521, 522, 523, 524, 525, 526, 527, 529, 530])
@pytest.mark.parametrize("stream", [True, False])
async def test_failures_of_a_proxy_are_tried_elsewhere(status: int, stream: bool) -> None:
    request = CHAT._replace(stream=stream)
    page = Script([b"<html>error</html>"], status, content_type="text/html")
    async with two_targets(page, request) as (attempts, _, _working):
        if stream:
            assert await read_stream(attempts, request)
        else:
            assert (await attempts.complete(request)).body == COMPLETION
        assert [failed.status for failed in attempts.failed] == [status]


@pytest.mark.parametrize("operation", [Operation.MESSAGES, Operation.COUNT_TOKENS, Operation.CHAT])
async def test_overload_keeps_its_status_for_anthropics_clients(operation: Operation) -> None:
    busy = Script([json.dumps(OVERLOAD).encode()], 529, content_type=JSON)
    request = CHAT._replace(operation=operation)
    async with two_targets(busy, request, second=busy) as (attempts, _, _working):
        with pytest.raises(ProviderRefused) as caught:
            await attempts.complete(request)
        assert caught.value.status == (503 if operation is Operation.CHAT else 529)
