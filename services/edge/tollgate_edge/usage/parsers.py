"""OpenAI's usage object into tokens of disjoint classes."""

from contextlib import suppress

import msgspec

from tollgate_common.rating import TokenCounts

# No request can use more: 128 choices of the longest answers there are. What says more is not a usage.
MAX_TOKENS = 100_000_000


class PromptTokensDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """How many of them are kept for an hour: no provider of this protocol tells it, a translation does."""
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokensDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class Usage(msgspec.Struct):
    """`prompt_tokens` includes the cached, written, audio and image ones, `completion_tokens` the reasoning and audio
    ones."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class ResponsesUsage(msgspec.Struct):
    """Of OpenAI's Responses, images and audio: `input_tokens` includes the parts that its details name."""

    input_tokens: int
    output_tokens: int = 0
    input_tokens_details: InputDetails | None = None
    input_token_details: InputDetails | None = None
    """As audio spells it."""
    output_tokens_details: OutputDetails | None = None

    @property
    def is_possible(self) -> bool:
        return 0 <= self.input_tokens <= MAX_TOKENS and 0 <= self.output_tokens <= MAX_TOKENS

    @property
    def details(self) -> InputDetails:
        return self.input_tokens_details or self.input_token_details or InputDetails()


class CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class ThinkingDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class MessagesUsage(msgspec.Struct):
    """Of Anthropic's Messages: `input_tokens` leaves out what was read from a cache or written to one, `output_tokens`
    includes the thinking."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: ThinkingDetails | None = None

    @property
    def is_possible(self) -> bool:
        counts = (self.input_tokens, self.output_tokens, self.cache_read_input_tokens, self.cache_creation_input_tokens)
        return all(0 <= (count or 0) <= MAX_TOKENS for count in counts)


class DurationUsage(msgspec.Struct):
    seconds: float


_decoder = msgspec.json.Decoder(Usage)
_response_decoder = msgspec.json.Decoder(ResponsesUsage)
_messages_decoder = msgspec.json.Decoder(MessagesUsage)
_duration_decoder = msgspec.json.Decoder(DurationUsage)
_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS = PromptTokensDetails(), CompletionTokensDetails()


def parse_chat_usage(raw: bytes) -> TokenCounts | None:
    """Tokens by class; None if `raw` is no usage, or one that cannot be true.

    The totals are believed within what is possible at all, the details only as far as they fit into their total: some
    providers state more cached tokens than tokens.
    """
    try:
        usage = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not (0 <= usage.prompt_tokens <= MAX_TOKENS and 0 <= usage.completion_tokens <= MAX_TOKENS):
        return None
    prompt = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    cached, written, audio, image, text = _parts(
        usage.prompt_tokens,
        prompt.cached_tokens,
        prompt.cache_write_tokens,
        prompt.audio_tokens,
        prompt.image_tokens,
    )
    hourly, shortly = _parts(written, prompt.cache_write_1h_tokens)
    completion = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    reasoning, audio_output, output = _parts(
        usage.completion_tokens, completion.reasoning_tokens, completion.audio_tokens
    )
    return TokenCounts(
        input=text,
        cached_input=cached,
        cache_write=shortly,
        cache_write_1h=hourly,
        audio_input=audio,
        image_input=image,
        output=output,
        reasoning=reasoning,
        audio_output=audio_output,
    )


def parse_responses_usage(raw: bytes) -> TokenCounts | None:
    """Of Responses: `input_tokens`, of which some are cached or written to a cache, and `output_tokens`, of which some
    are reasoning."""
    usage = _response_usage(raw)
    if usage is None:
        return None
    cached, written, audio, image, text = _parts(
        usage.input_tokens,
        usage.details.cached_tokens,
        usage.details.cache_write_tokens,
        usage.details.audio_tokens,
        usage.details.image_tokens,
    )
    details = usage.output_tokens_details or OutputDetails()
    reasoning, spoken, output = _parts(usage.output_tokens, details.reasoning_tokens, details.audio_tokens)
    return TokenCounts(
        input=text,
        cached_input=cached,
        cache_write=written,
        audio_input=audio,
        image_input=image,
        output=output,
        reasoning=reasoning,
        audio_output=spoken,
    )


def parse_image_usage(raw: bytes) -> TokenCounts | None:
    """Of generated images: all output is image."""
    usage = _response_usage(raw)
    if usage is None:
        return None
    image, text = _parts(usage.input_tokens, usage.details.image_tokens)
    return TokenCounts(input=text, image_input=image, image_output=usage.output_tokens)


def parse_speech_usage(raw: bytes) -> TokenCounts | None:
    """Of speech: text in, audio out."""
    usage = _response_usage(raw)
    return None if usage is None else TokenCounts(input=usage.input_tokens, audio_output=usage.output_tokens)


def parse_transcription_usage(raw: bytes) -> TokenCounts | None:
    """Of transcriptions: seconds (`{"type": "duration"}`), of which each that began counts, or tokens."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return seconds_of_audio(_duration_decoder.decode(raw).seconds)
    usage = _response_usage(raw)
    if usage is None:
        return None
    audio, text = _parts(usage.input_tokens, usage.details.audio_tokens)
    return TokenCounts(input=text, audio_input=audio, output=usage.output_tokens)


def seconds_of_audio(seconds: float) -> TokenCounts | None:
    """Seconds, of which each that began counts; None if there cannot be so many."""
    return TokenCounts(audio_seconds=-int(-seconds // 1)) if 0 < seconds <= MAX_TOKENS else None


def parse_messages_usage(raw: bytes) -> TokenCounts | None:
    """Of Anthropic's Messages, whose classes are disjoint but for the thinking."""
    try:
        usage = _messages_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not usage.is_possible:
        return None
    creation = usage.cache_creation or CacheCreation()
    hourly, shortly = _parts(usage.cache_creation_input_tokens or 0, creation.ephemeral_1h_input_tokens)
    details = usage.output_tokens_details or ThinkingDetails()
    thinking, output = _parts(usage.output_tokens, details.thinking_tokens)
    return TokenCounts(
        input=usage.input_tokens,
        cached_input=usage.cache_read_input_tokens or 0,
        cache_write=shortly,
        cache_write_1h=hourly,
        output=output,
        reasoning=thinking,
    )


def _response_usage(raw: bytes) -> ResponsesUsage | None:
    try:
        usage = _response_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return usage if usage.is_possible else None


def is_present(member: msgspec.Raw) -> bool:
    """Whether a JSON member that is kept raw is there and not null."""
    return len(member) > 0 and bytes(member) != b"null"


def _parts(total: int, *details: int | None) -> list[int]:
    """Each detail, as much of it as fits, and what is left of the total."""
    parts = []
    for detail in details:
        part = min(max(detail, 0), total) if detail else 0
        parts.append(part)
        total -= part
    return [*parts, total]
