"""Usage objects for clients, made from what a provider stated in another protocol.

A count that the provider stated but that cannot be true is rendered as -1, so that a reader sees that it is not stated.
"""

from typing import Any

from tollgate_edge.usage.merging import StatedUsage, with_totals

_IMPOSSIBLE = -1


def as_chat_usage(stated: StatedUsage) -> dict[str, Any]:
    """Render a usage as chat completions do: the prompt includes cache reads and writes."""
    whole = with_totals(stated)
    prompt, output = _count(whole.prompt, stated), _count(whole.output, stated)
    details = {
        "cached_tokens": whole.cached,
        "cache_write_tokens": whole.cache_write,
        "cache_write_1h_tokens": whole.cache_write_1h,
        "audio_tokens": whole.audio_input,
        "image_tokens": whole.image_input,
    }
    cached = {"audio_tokens": whole.cached_audio, "image_tokens": whole.cached_image}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": details | ({"cached_tokens_details": cached} if any(cached.values()) else {}),
        "completion_tokens_details": {
            "reasoning_tokens": whole.reasoning,
            "audio_tokens": whole.audio_output,
            "image_tokens": whole.image_output,
        },
    }


def as_messages_usage(stated: StatedUsage) -> dict[str, Any]:
    """Render a usage as Anthropic's Messages do: `input_tokens` excludes cache reads and writes."""
    whole = with_totals(stated)
    rendered: dict[str, Any] = {
        "input_tokens": _count(max(0, whole.prompt - whole.cached - whole.cache_write), stated),
        "cache_creation_input_tokens": whole.cache_write,
        "cache_read_input_tokens": whole.cached,
        "output_tokens": _count(whole.output, stated),
    }
    if whole.cache_write_1h:
        rendered["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, whole.cache_write - whole.cache_write_1h),
            "ephemeral_1h_input_tokens": whole.cache_write_1h,
        }
    if whole.reasoning:
        rendered["output_tokens_details"] = {"thinking_tokens": whole.reasoning}
    return rendered


def _count(count: int, stated: StatedUsage) -> int:
    return _IMPOSSIBLE if stated.is_impossible and not count else count
