"""Checks of OpenAI's prompt cache options: only retention times that have a price are allowed.

`prompt_cache_options` sets the retention for a request, `prompt_cache_breakpoint` for one part of a prompt. Cache
writes for longer than 30 minutes are counted in a class without a price. Source: openai-python's types.
"""

from typing import Any

import msgspec

from tollgate_edge.endpoints.validation.references import unsupported_reference
from tollgate_edge.http.errors import unsupported_value
from tollgate_edge.http.json_body import decode, unescaped

_PRICED_TTLS = (None, "30m")
_MEMBERS = ("prompt_cache_options", "prompt_cache_breakpoint")
# A body without both need not be parsed. (`prompt_cache_key` alone is common.)
_HINT, _HINTS = b"prompt_cache_", (b'"ttl"', b'"comparison_response_id"')
_decoder = msgspec.json.Decoder[Any]()


def check_prompt_cache(body: bytes) -> None:
    """Reject cache writes without a price, and comparisons with a response that is stored at the provider.

    Raises:
        ApiError: 400, with the name of the field.
    """
    names = unescaped(body)
    if _HINT not in names or not any(hint in names for hint in _HINTS):
        return
    waiting = [decode(_decoder, body)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            _check_members(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_members(value: dict[str, Any]) -> None:
    for name in _MEMBERS:
        options = value.get(name)
        if not isinstance(options, dict):
            continue
        if options.get("ttl") not in _PRICED_TTLS:
            raise unsupported_value(f"{name}.ttl", "expected 30m, because longer cache writes have no price here")
        if options.get("comparison_response_id") is not None:
            raise unsupported_reference(f"{name}.comparison_response_id")
