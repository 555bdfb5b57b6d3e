"""What a translation between two protocols consists of, and what both sides share."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from tollgate_edge.http.errors import INVALID_REQUEST, ProviderFailed, ProviderRefused
from tollgate_edge.http.json_body import wrong_member
from tollgate_edge.providers.base import ResponseChunks
from tollgate_edge.providers.translators.shapes import ChatShape
from tollgate_edge.streaming.sse import BLANK_LINE, EventBuffer, EventTooLarge, event_data

Json = dict[str, Any]

# OpenAI's usage that says nothing, so that the edge counts.
INVALID_USAGE: Json = {"prompt_tokens": -1, "completion_tokens": -1, "total_tokens": -2}

_object_decoder = msgspec.json.Decoder(dict[str, Any])


class EventTranslator(Protocol):
    """One streamed answer's events, from one protocol into another."""

    def translate(self, event: Json) -> bytes:
        """The events that the provider's event becomes, perhaps none."""

    def finish(self) -> bytes:
        """What the end of the provider's body becomes."""


class TranslatedChunks:
    """A provider's stream, as `ResponseChunks` of another protocol."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, upstream: ResponseChunks, translator: EventTranslator) -> None:
        self._upstream = upstream
        self._translator = translator
        self._buffer = EventBuffer()
        self._is_over = False

    async def read(self) -> bytes | None:
        while not self._is_over:
            chunk = await self._upstream.read()
            if chunk is None:
                self._is_over = True
                return (self._take(BLANK_LINE) if self._buffer.has_partial_event else b"") + self._translator.finish()
            events = self._take(chunk)
            if events:
                return events
        return None

    async def read_to_end(self) -> None:
        await self._upstream.read_to_end()

    def _take(self, chunk: bytes) -> bytes:
        try:
            block = self._buffer.feed(chunk)
        except EventTooLarge as error:
            raise invalid_provider_response() from error
        return b"".join(self._translated(event_data(event)) for event in block.split(BLANK_LINE)[:-1])

    def _translated(self, data: bytes) -> bytes:
        if not data or data == b"[DONE]":
            return b""
        try:
            return self._translator.translate(_object_decoder.decode(data))
        except SHAPE_ERRORS as error:
            raise invalid_provider_response() from error


@asynccontextmanager
async def translate_stream(
    stream: AbstractAsyncContextManager[ResponseChunks], translator: EventTranslator
) -> AsyncIterator[ResponseChunks]:
    async with stream as upstream:
        yield TranslatedChunks(upstream, translator)


# What reading JSON of another shape than a protocol's raises.
SHAPE_ERRORS = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
)


def translate_response_body(body: bytes, translate: Callable[[Json], Json]) -> bytes:
    """A whole answer in another protocol.

    Raises:
        ProviderFailed: it is no answer of the provider's protocol.
    """
    try:
        return msgspec.json.encode(translate(_object_decoder.decode(body)))
    except SHAPE_ERRORS as error:
        raise invalid_provider_response() from error


def translate_request_body(
    body: bytes, translate: Callable[[Json], Json], shape: type[msgspec.Struct] = ChatShape
) -> bytes:
    """A request in another protocol.

    Args:
        body: of its own protocol.
        translate: makes the other's.
        shape: what a translation reads of it.

    Raises:
        ProviderRefused: 400; it asks for what the other protocol cannot express, or is of another shape than its own.
    """
    try:
        return msgspec.json.encode(translate(_object_decoder.decode(body)))
    except SHAPE_ERRORS as error:
        raise _misshapen(body, shape) from error


def _misshapen(body: bytes, shape: type[msgspec.Struct]) -> ProviderRefused:
    try:
        msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        param, problem = wrong_member(error)
        return untranslatable(param, f"'{param}' is wrong, {problem}", code="invalid_type")
    except RecursionError:
        return untranslatable(None, "it nests too deep")
    return untranslatable(None, "a field has another shape than the API's")


def untranslatable(param: str | None, problem: str, code: str = "unsupported_value") -> ProviderRefused:
    message = f"This model's provider does not take this request: {problem}."
    error = ProviderRefused(HTTPStatus.BAD_REQUEST, message, error_type=INVALID_REQUEST, param=param, code=code)
    error.sent = False
    return error


def invalid_provider_response() -> ProviderFailed:
    return ProviderFailed(HTTPStatus.BAD_GATEWAY, "The provider's answer is not in its own protocol.")


def reject_legacy_functions(chat: Json) -> None:
    """Refuse functions as chat had them before tools; left out, the model would not know that it can call any.

    Raises:
        ProviderRefused: 400, with the member's name.
    """
    for name in ("functions", "function_call"):
        if chat.get(name):
            raise untranslatable(name, "it takes `tools` and `tool_choice` instead")
    if any(message["role"] == "function" or message.get("function_call") for message in chat["messages"]):
        raise untranslatable("messages", "it takes `tool_calls` and the role `tool` instead of functions")


def data_event(data: Json) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(data)


def named_event(data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(data["type"]).encode(), msgspec.json.encode(data))


def content_parts(content: Any) -> list[Json]:
    """A message's content as a list of parts, however it is given."""
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def content_text(content: Any) -> str:
    return "".join(part.get("text") or part.get("refusal") or "" for part in content_parts(content))


def parse_arguments(text: str) -> Json:
    """A tool call's arguments, which OpenAI's protocol holds as text."""
    try:
        arguments = _object_decoder.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise untranslatable("messages", "a tool call's arguments are no JSON object") from error
    return arguments


def split_data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a data URL; None for any other."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head.removeprefix("data:").removesuffix(";base64"), data
