"""The parts that all translations between protocols share."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from tollgate_edge.http.errors import INVALID_REQUEST, ProviderError, ProviderFailed, ProviderRefused
from tollgate_edge.http.json_body import wrong_member
from tollgate_edge.providers.base import ResponseChunks
from tollgate_edge.providers.translators.shapes import ChatShape
from tollgate_edge.streaming.sse import BLANK_LINE, EventBuffer, EventTooLarge, event_data
from tollgate_edge.streaming.stream_usage import StreamUsage

Json = dict[str, Any]

_object_decoder = msgspec.json.Decoder(dict[str, Any])


class EventTranslator(Protocol):
    """Translates the events of one streamed response."""

    usage: StreamUsage
    """The provider's own statements, which a client that leaves early may never be sent."""

    def translate(self, event: Json) -> bytes:
        """Return the translated events, possibly none."""

    def finish(self) -> bytes:
        """Return the events for the end of the provider's body."""


class ConvertedChunks(ABC):
    """The `ResponseChunks` of a provider's stream that is converted to server-sent events."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, upstream: ResponseChunks) -> None:
        self._upstream = upstream
        self._is_over = False

    @property
    @abstractmethod
    def usage(self) -> StreamUsage | None:
        """As `ResponseChunks.usage`."""

    @abstractmethod
    def convert(self, chunk: bytes) -> bytes:
        """Return the events that these bytes complete, possibly none."""

    @abstractmethod
    def finish(self) -> bytes:
        """Return the events that end a complete response."""

    def convert_rest(self) -> bytes:
        """Return the event that the body ended in the middle of."""
        return b""

    async def read(self) -> bytes | None:
        while not self._is_over:
            try:
                chunk = await self._upstream.read()
            except ProviderError:
                # With its finish and its usage the response is complete, whatever the connection does after them.
                events = self.finish() if self.usage is not None and self.usage.is_final else b""
                if not events:
                    raise
                self._is_over = True
                return events
            if chunk is None:
                self._is_over = True
                return self.convert_rest() + self.finish()
            events = self.convert(chunk)
            if events:
                return events
        return None

    async def read_to_end(self) -> None:
        await self._upstream.read_to_end()


class TranslatedChunks(ConvertedChunks):
    """The `ResponseChunks` of a provider's stream, translated to another protocol."""

    def __init__(self, upstream: ResponseChunks, translator: EventTranslator) -> None:
        super().__init__(upstream)
        self._translator = translator
        self._buffer = EventBuffer()

    @property
    def usage(self) -> StreamUsage:
        # Of two translators, the first has read the provider's own events.
        return self._upstream.usage or self._translator.usage

    def convert(self, chunk: bytes) -> bytes:
        try:
            block = self._buffer.feed(chunk)
        except EventTooLarge as error:
            raise invalid_provider_response() from error
        return b"".join(self._translate_event(event_data(event)) for event in block.split(BLANK_LINE)[:-1])

    def convert_rest(self) -> bytes:
        return self.convert(BLANK_LINE) if self._buffer.has_partial_event else b""

    def finish(self) -> bytes:
        return self._translator.finish()

    def _translate_event(self, data: bytes) -> bytes:
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


# Raised when a translation reads JSON that does not have the protocol's shape.
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
    """Translate a complete response.

    Raises:
        ProviderFailed: the body is not a valid response of the provider's protocol.
    """
    try:
        return msgspec.json.encode(translate(_object_decoder.decode(body)))
    except SHAPE_ERRORS as error:
        raise invalid_provider_response() from error


def translate_request_body(
    body: bytes, translate: Callable[[Json], Json], shape: type[msgspec.Struct] = ChatShape
) -> bytes:
    """Translate a request.

    Args:
        body: the request in its own protocol.
        translate: converts it.
        shape: the fields that the translation reads, to explain a failure.

    Raises:
        ProviderRefused: 400; the request cannot be expressed in the other protocol, or its shape is invalid.
    """
    try:
        return msgspec.json.encode(translate(_object_decoder.decode(body)))
    except SHAPE_ERRORS as error:
        raise _explain_failure(body, shape) from error


def _explain_failure(body: bytes, shape: type[msgspec.Struct]) -> ProviderRefused:
    try:
        msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        param, problem = wrong_member(error)
        return untranslatable(param, f"'{param}' is invalid, {problem}", code="invalid_type")
    except RecursionError:
        return untranslatable(None, "it nests too deep")
    return untranslatable(None, "a field does not have the shape that the API defines")


def untranslatable(param: str | None, problem: str, code: str = "unsupported_value") -> ProviderRefused:
    message = f"This model's provider does not support this request: {problem}."
    error = ProviderRefused(HTTPStatus.BAD_REQUEST, message, error_type=INVALID_REQUEST, param=param, code=code)
    error.sent = False
    return error


def invalid_provider_response() -> ProviderFailed:
    return ProviderFailed(HTTPStatus.BAD_GATEWAY, "The provider's response does not follow its own protocol.")


def reject_legacy_functions(chat: Json) -> None:
    """Reject the `functions` of chat completions, which tools replaced. The model would not learn of them otherwise.

    Raises:
        ProviderRefused: 400, with the name of the field.
    """
    for name in ("functions", "function_call"):
        if chat.get(name):
            raise untranslatable(name, "it supports `tools` and `tool_choice` instead")
    if any(message["role"] == "function" or message.get("function_call") for message in chat["messages"]):
        raise untranslatable("messages", "it supports `tool_calls` and the role `tool` instead of functions")


def data_event(data: Json) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(data)


def named_event(data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(data["type"]).encode(), msgspec.json.encode(data))


def content_parts(content: Any) -> list[Json]:
    """Return a message's content as a list of parts, whether it is a text or a list."""
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def content_text(content: Any) -> str:
    return "".join(part.get("text") or part.get("refusal") or "" for part in content_parts(content))


def split_data_url(url: str) -> tuple[str, str] | None:
    """Return the media type and base64 data of a data URL; None for any other URL."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head.removeprefix("data:").removesuffix(";base64"), data
