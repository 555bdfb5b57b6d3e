"""Parsers of the usage objects of all protocols. Each returns token counts in disjoint classes."""

from contextlib import suppress

import msgspec

from tollgate_common.rating import TokenCounts

# The most that a request can use: 128 choices of the longest outputs. Larger values are invalid.
MAX_TOKENS = 100_000_000


class PromptTokensDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """The part that is cached for an hour. Only translated responses have this field."""
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokensDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class ChatUsage(msgspec.Struct):
    """The usage of a chat completion.

    `prompt_tokens` includes cached, cache-write, audio and image tokens; `completion_tokens` includes reasoning and
    audio tokens.
    """

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
    """The usage of OpenAI's Responses, images and audio. `input_tokens` includes the parts listed in the details."""

    input_tokens: int
    output_tokens: int = 0
    input_tokens_details: InputDetails | None = None
    input_token_details: InputDetails | None = None
    """The spelling of the audio APIs."""
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
    """The usage of Anthropic's Messages.

    `input_tokens` excludes cache reads and cache writes; `output_tokens` includes thinking.
    """

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


_chat_decoder = msgspec.json.Decoder(ChatUsage)
_responses_decoder = msgspec.json.Decoder(ResponsesUsage)
_messages_decoder = msgspec.json.Decoder(MessagesUsage)
_duration_decoder = msgspec.json.Decoder(DurationUsage)
_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS = PromptTokensDetails(), CompletionTokensDetails()


def parse_chat_usage(raw: bytes) -> TokenCounts | None:
    """Parse the usage of a chat completion; None if it is not a usage or has impossible values.

    Totals are accepted between 0 and `MAX_TOKENS`. Details are limited to their total, because some providers report
    more cached tokens than prompt tokens.
    """
    try:
        usage = _chat_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not (0 <= usage.prompt_tokens <= MAX_TOKENS and 0 <= usage.completion_tokens <= MAX_TOKENS):
        return None
    prompt = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    cached, written, audio, image, text = _split(
        usage.prompt_tokens,
        prompt.cached_tokens,
        prompt.cache_write_tokens,
        prompt.audio_tokens,
        prompt.image_tokens,
    )
    one_hour, short = _split(written, prompt.cache_write_1h_tokens)
    completion = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    reasoning, audio_output, output = _split(
        usage.completion_tokens, completion.reasoning_tokens, completion.audio_tokens
    )
    return TokenCounts(
        input=text,
        cached_input=cached,
        cache_write=short,
        cache_write_1h=one_hour,
        audio_input=audio,
        image_input=image,
        output=output,
        reasoning=reasoning,
        audio_output=audio_output,
    )


def parse_responses_usage(raw: bytes) -> TokenCounts | None:
    """Parse the usage of OpenAI's Responses; None if it is invalid."""
    usage = _decode_responses_usage(raw)
    if usage is None:
        return None
    cached, written, audio, image, text = _split(
        usage.input_tokens,
        usage.details.cached_tokens,
        usage.details.cache_write_tokens,
        usage.details.audio_tokens,
        usage.details.image_tokens,
    )
    details = usage.output_tokens_details or OutputDetails()
    reasoning, audio_output, output = _split(usage.output_tokens, details.reasoning_tokens, details.audio_tokens)
    return TokenCounts(
        input=text,
        cached_input=cached,
        cache_write=written,
        audio_input=audio,
        image_input=image,
        output=output,
        reasoning=reasoning,
        audio_output=audio_output,
    )


def parse_image_usage(raw: bytes) -> TokenCounts | None:
    """Parse the usage of generated images, whose output is all image tokens; None if it is invalid."""
    usage = _decode_responses_usage(raw)
    if usage is None:
        return None
    image, text = _split(usage.input_tokens, usage.details.image_tokens)
    return TokenCounts(input=text, image_input=image, image_output=usage.output_tokens)


def parse_speech_usage(raw: bytes) -> TokenCounts | None:
    """Parse the usage of speech, with text input and audio output; None if it is invalid."""
    usage = _decode_responses_usage(raw)
    return None if usage is None else TokenCounts(input=usage.input_tokens, audio_output=usage.output_tokens)


def parse_transcription_usage(raw: bytes) -> TokenCounts | None:
    """Parse the usage of a transcription: tokens, or seconds (`{"type": "duration"}`), rounded up; None if invalid."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return seconds_of_audio(_duration_decoder.decode(raw).seconds)
    usage = _decode_responses_usage(raw)
    if usage is None:
        return None
    audio, text = _split(usage.input_tokens, usage.details.audio_tokens)
    return TokenCounts(input=text, audio_input=audio, output=usage.output_tokens)


def seconds_of_audio(seconds: float) -> TokenCounts | None:
    """Return the seconds of audio, rounded up; None if the number is impossible."""
    return TokenCounts(audio_seconds=-int(-seconds // 1)) if 0 < seconds <= MAX_TOKENS else None


def parse_messages_usage(raw: bytes) -> TokenCounts | None:
    """Parse the usage of Anthropic's Messages, where only thinking is part of another class; None if it is invalid."""
    try:
        usage = _messages_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not usage.is_possible:
        return None
    creation = usage.cache_creation or CacheCreation()
    one_hour, short = _split(usage.cache_creation_input_tokens or 0, creation.ephemeral_1h_input_tokens)
    details = usage.output_tokens_details or ThinkingDetails()
    thinking, output = _split(usage.output_tokens, details.thinking_tokens)
    return TokenCounts(
        input=usage.input_tokens,
        cached_input=usage.cache_read_input_tokens or 0,
        cache_write=short,
        cache_write_1h=one_hour,
        output=output,
        reasoning=thinking,
    )


def _decode_responses_usage(raw: bytes) -> ResponsesUsage | None:
    try:
        usage = _responses_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return usage if usage.is_possible else None


def is_present(member: msgspec.Raw) -> bool:
    """Whether a raw JSON field is present and not null."""
    return len(member) > 0 and bytes(member) != b"null"


def _split(total: int, *details: int | None) -> list[int]:
    """Split a total into its details, each limited to what is left, and the remainder."""
    parts = []
    for detail in details:
        part = min(max(detail, 0), total) if detail else 0
        parts.append(part)
        total -= part
    return [*parts, total]
