"""OpenAI's usage object into tokens of disjoint classes."""

import msgspec

from tollgate_common.rating import TokenCounts

# No request can use more: 128 choices of the longest answers there are. What says more is not a usage.
MOST_TOKENS = 100_000_000


class PromptTokensDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
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


_decoder = msgspec.json.Decoder(Usage)


def parse_usage(raw: bytes) -> TokenCounts | None:
    """Tokens by class; None if `raw` is no usage, or one that cannot be true.

    The totals are believed within what is possible at all, the details only as far as they fit into their total: some
    providers state more cached tokens than tokens.
    """
    try:
        usage = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not (0 <= usage.prompt_tokens <= MOST_TOKENS and 0 <= usage.completion_tokens <= MOST_TOKENS):
        return None
    prompt = usage.prompt_tokens_details or PromptTokensDetails()
    cached, written, audio, image, text = _parts(
        usage.prompt_tokens,
        prompt.cached_tokens,
        prompt.cache_write_tokens,
        prompt.audio_tokens,
        prompt.image_tokens,
    )
    completion = usage.completion_tokens_details or CompletionTokensDetails()
    reasoning, audio_output, output = _parts(
        usage.completion_tokens, completion.reasoning_tokens, completion.audio_tokens
    )
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


def is_given(member: msgspec.Raw) -> bool:
    """Whether a JSON member that is kept raw is there and not null."""
    return len(member) > 0 and bytes(member) != b"null"


def _parts(total: int, *details: int | None) -> list[int]:
    """Each detail, as much of it as fits, and what is left of the total."""
    parts = []
    for detail in details:
        part = min(max(detail or 0, 0), total)
        parts.append(part)
        total -= part
    return [*parts, total]
