"""The reader of usage objects: one tolerant reader for every protocol.

The members of a usage differ by provider and by version: `docs/providers.md` says which provider states what, and
where. A member with an unexpected type is not stated, and never hides the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.usage.merging import NOTHING_STATED, StatedUsage, merge, with_totals

# The most that a request can use: 128 choices of the longest outputs. Larger values are invalid.
MAX_TOKENS = 100_000_000

_Counts = Mapping[str, int]

_PROMPT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")
# In the details at OpenAI; beside the totals at Moonshot and DeepSeek, and at gateways that add Anthropic's member.
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
# OpenAI's, LiteLLM's and DashScope's names.
_CACHE_WRITE = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_SHORT, _ONE_HOUR = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
_NONE: _Counts = {}

_decoder = msgspec.json.Decoder()


class _PlainDetails(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: int | None = 0
    cache_write_tokens: int | None = 0
    audio_tokens: int | None = 0
    image_tokens: int | None = 0
    text_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    accepted_prediction_tokens: int | None = 0
    rejected_prediction_tokens: int | None = 0


_NO_DETAILS = _PlainDetails()


class _PlainUsage(msgspec.Struct, forbid_unknown_fields=True):
    """The usage that OpenAI and most others state, which is read without looking for other places."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _PlainDetails | None = None
    completion_tokens_details: _PlainDetails | None = None


_plain_decoder = msgspec.json.Decoder(_PlainUsage)


def parse_usage(raw: bytes | Mapping[str, Any]) -> StatedUsage:
    """Read a usage of OpenAI's APIs or of a compatible one. Its prompt includes tokens that were read from a cache.

    Returns `NOTHING_STATED` for anything but an object with counts.
    """
    if isinstance(raw, bytes | msgspec.Raw) and (plain := _parse_plain(raw)) is not None:
        return plain
    usage = _object(raw)
    if not usage:
        return NOTHING_STATED
    top, details, output = _counts(usage), _first(usage, _PROMPT_DETAILS), _first(usage, _OUTPUT_DETAILS)
    prompt, written = _counts(details), _counts(details.get("cache_creation") or usage.get("cache_creation"))
    cached, outputs = _counts(details.get("cached_tokens_details")), _counts(output)
    return StatedUsage(
        prompt=_largest(_PROMPT, top),
        cached=_largest(_CACHED, prompt, top),
        cache_write=max(_largest(_CACHE_WRITE, prompt, top), _creation(written)),
        # Only translated responses have the first member.
        cache_write_1h=_largest(("cache_write_1h_tokens", _ONE_HOUR), prompt, written),
        audio_input=_largest(("audio_tokens",), prompt),
        image_input=_largest(("image_tokens",), prompt),
        cached_audio=_largest(("audio_tokens",), cached),
        cached_image=_largest(("image_tokens",), cached),
        output=_largest(_OUTPUT, top),
        # SGLang states it beside the totals.
        reasoning=_largest(("reasoning_tokens",), outputs, top),
        audio_output=_largest(("audio_tokens",), outputs),
        image_output=_largest(("image_tokens",), outputs),
        total=_largest(("total_tokens",), top),
        is_impossible=_has_impossible(top, prompt, outputs, cached, written),
    )


def parse_completion_usage(completion: Mapping[str, Any]) -> StatedUsage:
    """Read the usage of a decoded chat completion or chunk, wherever it stands.

    Moonshot puts it into a choice, and Groq into `x_groq` if the request did not ask for it.
    """
    choices = completion.get("choices")
    places = [completion, completion.get("x_groq"), *(choices if isinstance(choices, list) else ())]
    return parse_usages([place.get("usage") or {} for place in places if isinstance(place, dict)])


def parse_usages(usages: Iterable[bytes | Mapping[str, Any]]) -> StatedUsage:
    """Read several usages of one response."""
    return reduce(merge, map(parse_usage, usages), NOTHING_STATED)


def _parse_plain(raw: bytes | msgspec.Raw) -> StatedUsage | None:
    """Read the usual usage; None if it has any other member, or a value that the tolerant reader must look at."""
    try:
        usage = _plain_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    prompt, output = usage.prompt_tokens_details or _NO_DETAILS, usage.completion_tokens_details or _NO_DETAILS
    counts = (
        usage.prompt_tokens,
        prompt.cached_tokens or 0,
        prompt.cache_write_tokens or 0,
        0,
        prompt.audio_tokens or 0,
        prompt.image_tokens or 0,
        0,
        0,
        usage.completion_tokens,
        output.reasoning_tokens or 0,
        output.audio_tokens or 0,
        output.image_tokens or 0,
        usage.total_tokens,
    )
    return StatedUsage(*counts) if min(counts) >= 0 and max(counts) <= MAX_TOKENS else None


def parse_messages_usage(raw: bytes | Mapping[str, Any]) -> StatedUsage:
    """Read a usage of Anthropic's Messages. Its `input_tokens` excludes what was read from or written to a cache.

    Returns `NOTHING_STATED` for anything but an object with counts, and for an estimate that a translation has put
    there for the client.
    """
    usage = _object(raw)
    if not usage or usage.get("estimated"):
        return NOTHING_STATED
    top, written = _counts(usage), _counts(usage.get("cache_creation"))
    thinking = _counts(usage.get("output_tokens_details"))
    cached = _largest(("cache_read_input_tokens",), top)
    cache_write = max(_largest(("cache_creation_input_tokens",), top), _creation(written))
    return StatedUsage(
        prompt=_largest(("input_tokens",), top) + cached + cache_write,
        cached=cached,
        cache_write=cache_write,
        cache_write_1h=_largest((_ONE_HOUR,), written),
        output=_largest(("output_tokens",), top),
        reasoning=_largest(("thinking_tokens",), thinking),
        is_impossible=_has_impossible(top, written, thinking),
    )


def parse_gemini_usage(raw: bytes | Mapping[str, Any]) -> StatedUsage:
    """Read Gemini's `usageMetadata` (ai.google.dev/api/generate-content#UsageMetadata).

    Thoughts are counted beside the candidates, and results of Google's own tools beside the prompt. Returns
    `NOTHING_STATED` for anything but an object with counts.
    """
    usage = _object(raw)
    if not usage:
        return NOTHING_STATED
    top = _counts(usage, suffix="TokenCount")
    candidates, thoughts = _largest(("candidatesTokenCount",), top), _largest(("thoughtsTokenCount",), top)
    if candidates != top.get("candidatesTokenCount", 0):
        # Thoughts alone would pass for the whole output.
        thoughts = 0
    prompt, cached = _modalities(usage.get("promptTokensDetails")), _modalities(usage.get("cacheTokensDetails"))
    output = _modalities(usage.get("candidatesTokensDetails"))
    return StatedUsage(
        prompt=_largest(("promptTokenCount",), top) + _largest(("toolUsePromptTokenCount",), top),
        cached=_largest(("cachedContentTokenCount",), top),
        audio_input=_largest(("AUDIO",), prompt),
        image_input=_largest(("IMAGE",), prompt),
        cached_audio=_largest(("AUDIO",), cached),
        cached_image=_largest(("IMAGE",), cached),
        output=candidates + thoughts,
        reasoning=thoughts,
        audio_output=_largest(("AUDIO",), output),
        image_output=_largest(("IMAGE",), output),
        total=_largest(("totalTokenCount",), top),
        is_impossible=_has_impossible(top, prompt, cached, output),
    )


def parse_image_usage(raw: bytes) -> TokenCounts | None:
    """Read the usage of generated images; None if it states nothing. The output is images, except for stated text."""
    usage = _object(raw)
    stated = with_totals(parse_usage(usage))
    if not stated.prompt and not stated.output:
        return None
    text = _largest(("text_tokens",), _counts(_first(usage, _OUTPUT_DETAILS)))
    image_input, cached = min(stated.image_input, stated.prompt), min(stated.cached, stated.prompt)
    cached_image = min(stated.cached_image, cached, image_input)
    plain_image = min(image_input - cached_image, stated.prompt - cached)
    return TokenCounts(
        input=stated.prompt - cached - plain_image,
        cached_input=cached - cached_image,
        image_input=plain_image,
        cached_image_input=cached_image,
        output=min(text, stated.output),
        image_output=stated.output - min(text, stated.output),
    )


def parse_speech_usage(raw: bytes) -> TokenCounts | None:
    """Read the usage of speech, with text input and audio output; None if it states nothing."""
    stated = with_totals(parse_usage(raw))
    if not stated.prompt and not stated.output:
        return None
    return TokenCounts(input=stated.prompt, audio_output=stated.output)


def parse_transcription_usage(raw: bytes) -> TokenCounts | None:
    """Read the usage of a transcription: tokens, or seconds, rounded up; None if it states nothing."""
    seconds = _object(raw).get("seconds")
    if isinstance(seconds, int | float):
        return seconds_of_audio(seconds)
    stated = with_totals(parse_usage(raw))
    if not stated.prompt and not stated.output:
        return None
    audio = min(stated.audio_input, stated.prompt)
    return TokenCounts(input=stated.prompt - audio, audio_input=audio, output=stated.output)


def seconds_of_audio(seconds: float) -> TokenCounts | None:
    """Return the seconds of audio, rounded up; None if the number is impossible."""
    return TokenCounts(audio_seconds=-int(-seconds // 1)) if 0 < seconds <= MAX_TOKENS else None


def is_present(member: msgspec.Raw) -> bool:
    """Whether a raw JSON field is present and not null."""
    return len(member) > 0 and bytes(member) != b"null"


def _object(raw: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    value: Any = raw
    if isinstance(raw, bytes | msgspec.Raw):
        try:
            value = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _first(usage: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """Return the first of some members that is an object."""
    for name in names:
        member = usage.get(name)
        if isinstance(member, dict):
            return member
    return {}


def _counts(value: Any, suffix: str = "tokens") -> _Counts:
    """Return the token counts of an object: every member with such a name that is a whole number."""
    if not isinstance(value, dict) or not value:
        return _NONE
    return {
        name: int(count)
        for name, count in value.items()
        if name.endswith(suffix) and (type(count) is int or (isinstance(count, float) and count.is_integer()))
    }


def _modalities(details: Any) -> _Counts:
    """Return the counts of Gemini's details by modality."""
    counts: dict[str, int] = {}
    for part in details if isinstance(details, list) else ():
        if isinstance(part, dict) and isinstance(part.get("modality"), str):
            count = _counts(part, suffix="tokenCount").get("tokenCount", 0)
            counts[part["modality"]] = counts.get(part["modality"], 0) + count
    return counts


def _largest(names: Sequence[str], *places: _Counts) -> int:
    largest = 0
    for counts in places:
        for name in names:
            count = counts.get(name, 0)
            if largest < count <= MAX_TOKENS:
                largest = count
    return largest


def _creation(written: _Counts) -> int:
    return _largest((_SHORT,), written) + _largest((_ONE_HOUR,), written)


def _has_impossible(*places: _Counts) -> bool:
    return any(not 0 <= count <= MAX_TOKENS for counts in places for count in counts.values())
