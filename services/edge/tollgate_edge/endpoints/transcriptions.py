"""`/v1/audio/transcriptions` and `/v1/audio/translations`: speech to text.

Both are charged by the second, or by the token if the model has no price for seconds.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, ResponseStream, unexpected_response
from tollgate_edge.http.errors import invalid_parameter, missing_parameter
from tollgate_edge.http.forms import Form, file_of, parse_form
from tollgate_edge.http.json_body import MAX_MODEL_CHARS, required
from tollgate_edge.providers.base import Operation
from tollgate_edge.streaming.errors import MALFORMED_EVENT, PROVIDER_STREAM_ERROR
from tollgate_edge.streaming.typed_stream import TypedEventStream
from tollgate_edge.usage.audio_duration import audio_seconds
from tollgate_edge.usage.parsers import is_present, parse_transcription_usage, seconds_of_audio
from tollgate_edge.usage.token_counting import count_input, count_text

# The smallest speech in any format that OpenAI accepts: Opus at 6 kbit/s. Recorded silence may be smaller.
MIN_BYTES_PER_SECOND = 750
# Assumed for a model without a price for seconds, if neither provider nor file states them: MP3 at 64 kbit/s.
_USUAL_BYTES_PER_SECOND = 8_000
# gpt-4o-transcribe reads 10 audio tokens per second and writes at most 4,096 text tokens.
_TOKENS_PER_SECOND = 10
_MAX_TEXT_TOKENS = 4_096
_LAST_CUE = re.compile(rb"--> (?:(\d{1,9}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
_TEXT_FORMATS = {"text", "srt", "vtt"}
_FORM_NAMES = frozenset({"file", "model", "prompt", "response_format", "stream"})


class _ResponseBody(msgspec.Struct):
    text: str | None = None
    duration: float | None = None
    usage: msgspec.Raw = msgspec.Raw()


_response_decoder = msgspec.json.Decoder(_ResponseBody)


class TranscriptionRequest(ModelRequest):
    reserves_incrementally = False

    def __init__(self, operation: Operation, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        content_type = headers.get(b"content-type", b"")
        form = parse_form(body, content_type, _FORM_NAMES)
        self.operation = operation
        self.model = required(form.field("model"), "model")
        if len(self.model) > MAX_MODEL_CHARS:
            raise invalid_parameter("model", f"expected at most {MAX_MODEL_CHARS} characters")
        if "file" not in form.file_sizes:
            raise missing_parameter("file")
        self.stream = _is_true(form, "stream")
        self.content_type = content_type.decode("latin-1")
        self.upstream_body = body
        self._file_bytes = form.file_sizes["file"]
        self._prompt = form.field("prompt")
        self._is_text = form.field("response_format") in _TEXT_FORMATS
        self._by_second = False

    def required_prices(self, prices: Prices) -> tuple[str, ...]:
        self._by_second = prices.audio_seconds is not None
        return ("audio_seconds",) if self._by_second else ("audio_input", "output")

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - the length of the audio bounds it
        seconds = self._max_seconds()
        if self._by_second:
            return Size(0, 1, 0, 0, TokenCounts(audio_seconds=seconds))
        return Size(len(self._prompt) + seconds * _TOKENS_PER_SECOND, 1, _MAX_TEXT_TOKENS, _MAX_TEXT_TOKENS)

    def parse_response(self, body: bytes) -> ParsedResponse:
        response = _ResponseBody() if self._is_text else self._decode(body)
        tokens = parse_transcription_usage(response.usage) if is_present(response.usage) else None
        counted = self.counted(tokens)
        if counted is not None:
            return ParsedResponse(counted)
        if self._by_second:
            stated = seconds_of_audio(response.duration or 0)
            if stated is None and not self._seconds_of_file():
                # Subtitles end with the last word, so they are the second choice.
                return ParsedResponse(seconds_of_audio(_last_cue_s(body)) or self.estimate(0), estimated=True)
            return ParsedResponse(stated or self.estimate(0), estimated=stated is None)
        text = response.text if response.text is not None else body.decode(errors="replace")
        return ParsedResponse(self.estimate(count_text(text)), estimated=True)

    def counted(self, reported: TokenCounts | None) -> TokenCounts | None:
        """Return the reported usage if it is in the charged unit: models report either tokens or seconds."""
        if reported is None or (reported.audio_seconds > 0) != self._by_second:
            return None
        return reported

    def audio_tokens(self) -> int:
        return int(self._usual_seconds() * _TOKENS_PER_SECOND)

    def count_prompt(self) -> int:
        return 0 if self._by_second else count_input(self._prompt) + self.audio_tokens()

    def open_stream(self) -> ResponseStream:
        return TranscriptStream(self)

    def estimate(self, output_tokens: int) -> TokenCounts:
        if self._by_second:
            return seconds_of_audio(self._seconds_of_file()) or TokenCounts(audio_seconds=self._max_seconds())
        return TokenCounts(input=count_input(self._prompt), audio_input=self.audio_tokens(), output=output_tokens)

    def _seconds_of_file(self) -> float:
        """Read the duration from the file, at most what was reserved; 0 if it is not readable."""
        seconds = audio_seconds(file_of(self.upstream_body, self.content_type, "file"))
        return min(seconds or 0, self._max_seconds())

    def _max_seconds(self) -> int:
        return 1 + self._file_bytes // MIN_BYTES_PER_SECOND

    def _usual_seconds(self) -> float:
        return self._seconds_of_file() or self._file_bytes / _USUAL_BYTES_PER_SECOND

    @staticmethod
    def _decode(body: bytes) -> _ResponseBody:
        try:
            response = _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("transcription") from error
        if response.text is None:
            raise unexpected_response("transcription")
        return response


class TranscriptStream(TypedEventStream):
    text_events: ClassVar = frozenset({b"transcript.text.delta"})

    def __init__(self, request: TranscriptionRequest) -> None:
        super().__init__()
        self._request = request

    def handle_event(self, event_type: str, data: bytes) -> bool:
        if event_type != "transcript.text.done":
            if b'"error"' in data:
                self.fail(PROVIDER_STREAM_ERROR)
            return False
        try:
            usage = _response_decoder.decode(data).usage
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail(MALFORMED_EVENT)
            return False
        reported = parse_transcription_usage(usage) if is_present(usage) else None
        self.tokens = self._request.counted(reported)
        return True

    def delta_text(self, event: dict[str, Any]) -> str:
        delta = event.get("delta")
        return delta if isinstance(delta, str) else ""

    def truncation_event(self, choices: int) -> bytes:  # noqa: ARG002 - never truncated: all of it is reserved
        return b""


def _is_true(form: Form, name: str) -> bool:
    value = form.field(name).lower()
    if value not in {"", "true", "false", "1", "0"}:
        raise invalid_parameter(name, f"expected true or false, got '{value[:32]}'")
    return value in {"true", "1"}


def _last_cue_s(body: bytes) -> float:
    """Return the end of the last subtitle in seconds; 0 if there is none."""
    cues = _LAST_CUE.findall(body)
    if not cues:
        return 0
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in cues[-1])
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


TRANSCRIPTIONS = Endpoint(
    "/v1/audio/transcriptions",
    lambda body, headers: TranscriptionRequest(Operation.TRANSCRIPTIONS, body, headers),
)
TRANSLATIONS = Endpoint(
    "/v1/audio/translations",
    lambda body, headers: TranscriptionRequest(Operation.TRANSLATIONS, body, headers),
)
