"""How long OpenAI is to keep a prompt in its cache: only as long as there is a price for.

`prompt_cache_options` says it for a request, `prompt_cache_breakpoint` for one part of a prompt. Cache writes for
longer than half an hour are a count of their own, which no price here knows. Source: openai-python's types.
"""

from typing import Any

import msgspec

from tollgate_edge.endpoints.validation.references import unsupported_reference
from tollgate_edge.http.errors import unsupported_value
from tollgate_edge.http.json_body import decode, unescaped

_PRICED = (None, "30m")
_MEMBERS = ("prompt_cache_options", "prompt_cache_breakpoint")
# A body without both of these says nothing of it, and need not be read. (`prompt_cache_key` alone is common.)
_HINT, _HINTS = b"prompt_cache_", (b'"ttl"', b'"comparison_response_id"')
_decoder = msgspec.json.Decoder[Any]()


def check_prompt_cache(body: bytes) -> None:
    """Refuse cache writes that have no price here, and a comparison with a response that the provider keeps.

    Raises:
        ApiError: 400, with the member's name.
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
        asked = value.get(name)
        if not isinstance(asked, dict):
            continue
        if asked.get("ttl") not in _PRICED:
            raise unsupported_value(f"{name}.ttl", "cache writes for longer than 30m have no price here")
        if asked.get("comparison_response_id") is not None:
            raise unsupported_reference(f"{name}.comparison_response_id")
