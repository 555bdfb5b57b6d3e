"""Rules that merge the usage blocks of one stream. No other module decides which of several blocks counts.

Every function is pure: it takes the usage so far and the next block, and returns the usage to go on with.
"""

from typing import Any

from tollgate_common.rating import TokenCounts
from tollgate_edge.usage.parsers import parse_chat_usage, parse_responses_usage


def merge_usage_fields(known: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    """Merge blocks of Anthropic's Messages: each field of a later block replaces the earlier one, unless it is null.

    `message_start` reports the prompt, and `message_delta` completes or repeats it.
    """
    return known | {name: value for name, value in block.items() if value is not None}


def merge_usage_objects(known: dict[str, Any] | None, block: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - replaced
    """Merge blocks of Gemini or of chat completions: each is cumulative, so the latest replaces those before."""
    return block


def merge_chat_usage(known: TokenCounts | None, block: bytes) -> TokenCounts | None:  # noqa: ARG001 - replaced
    """Merge a block of a chat completion: the latest replaces those before; None if it is not a valid usage."""
    return parse_chat_usage(block)


def merge_responses_usage(known: TokenCounts | None, block: bytes) -> TokenCounts | None:  # noqa: ARG001 - replaced
    """Merge a block of OpenAI's Responses: the latest replaces those before; None if it is not a valid usage."""
    return parse_responses_usage(block)
