"""`/v1/audio/speech`: text to speech, charged by the character. The audio is forwarded as it arrives."""

from typing import Any, ClassVar, Literal

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, ResponseStream
from tollgate_edge.http.errors import ApiError, ErrorFormat
from tollgate_edge.http.json_body import ModelName, decode, required
from tollgate_edge.providers.base import Operation
from tollgate_edge.streaming.errors import MALFORMED_EVENT, PROVIDER_STREAM_ERROR
from tollgate_edge.streaming.typed_stream import BinaryStream, TypedEventStream
from tollgate_edge.usage.parsers import is_present, parse_speech_usage
from tollgate_edge.usage.token_counting import count_input

# The maximum output of gpt-4o-mini-tts.
AUDIO_OUTPUT_TOKENS = 2_048 * 10


class _Request(msgspec.Struct):
    model: ModelName | None = None
    input: str | None = None
    stream_format: Literal["audio", "sse"] | None = None


class _Event(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


_request_decoder = msgspec.json.Decoder(_Request)
_event_decoder = msgspec.json.Decoder(_Event)


class SpeechRequest(ModelRequest):
    """Always streamed, because audio can be played from its first byte."""

    operation = Operation.SPEECH
    stream = True
    reserves_incrementally = False

    def __init__(self, body: bytes) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        self._text = required(request.input, "input")
        self.upstream_body = body
        self.has_events = request.stream_format == "sse"
        self._by_character = True

    def required_prices(self, prices: Prices) -> tuple[str, ...]:
        # Only a stream of events reports tokens; plain audio does not.
        self._by_character = prices.characters is not None or not self.has_events
        return ("characters",) if self._by_character else ("input", "audio_output")

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - the length of the text bounds it
        if self._by_character:
            return Size(0, 1, 0, 0, self.characters())
        return Size(len(self.upstream_body), 1, AUDIO_OUTPUT_TOKENS, AUDIO_OUTPUT_TOKENS)

    def characters(self) -> TokenCounts:
        return TokenCounts(characters=len(self._text))

    def counted(self, usage: msgspec.Raw) -> TokenCounts | None:
        """Return the usage to charge: the characters, or the tokens that the provider reports."""
        if self._by_character:
            return self.characters()
        return parse_speech_usage(usage) if is_present(usage) else None

    def parse_response(self, body: bytes) -> ParsedResponse:  # noqa: ARG002 - audio states no usage
        return ParsedResponse(self.characters())

    def count_prompt(self) -> int:
        return 0 if self._by_character else count_input(self._text)

    def estimate(self, output_tokens: int) -> TokenCounts:
        return self.characters() if self._by_character else super().estimate(output_tokens)

    def open_stream(self) -> ResponseStream:
        return SpeechStream(self) if self.has_events else BinaryStream(self.characters())


class SpeechStream(TypedEventStream):
    text_events: ClassVar = frozenset({b"speech.audio.delta"})

    def __init__(self, request: SpeechRequest) -> None:
        super().__init__()
        self._request = request

    def handle_event(self, event_type: str, data: bytes) -> bool:
        if event_type != "speech.audio.done":
            if b'"error"' in data:
                self.fail(PROVIDER_STREAM_ERROR)
            return False
        try:
            self.tokens = self._request.counted(_event_decoder.decode(data).usage)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail(MALFORMED_EVENT)
            return False
        return True

    def add_text(self, data: bytes) -> None:
        """Keep nothing: the audio is not text, and a response has megabytes of it."""

    def delta_text(self, event: dict[str, Any]) -> str:  # noqa: ARG002 - there is no text
        return ""

    def truncation_event(self, choices: int) -> bytes:  # noqa: ARG002 - never truncated: all of it is reserved
        return b""


# No error event: a player would play its bytes as audio.
SPEECH = Endpoint("/v1/audio/speech", lambda body, _headers: SpeechRequest(body), ErrorFormat(ApiError.body, None))
