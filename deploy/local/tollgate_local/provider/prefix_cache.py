"""A prompt cache as in platform.openai.com/docs/guides/prompt-caching, with prefixes of complete messages."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

import msgspec

from tollgate_local.provider.request import ChatRequest

MIN_CACHED_TOKENS: Final = 1_024
_STEP_TOKENS: Final = 128


class PrefixCache:
    """Remembers the last `size` prefixes of complete messages. Short prompts are not cached."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def cached_tokens(self, request: ChatRequest, preamble_tokens: int, message_tokens: list[int]) -> int:
        """Return the tokens of the longest cached prefix, in steps of 128, and cache the prompt's prefixes."""
        if preamble_tokens + sum(message_tokens) < MIN_CACHED_TOKENS:
            return 0
        digest = blake2b(msgspec.json.encode((request.model, request.tools)), digest_size=16)
        total, cached = preamble_tokens, 0
        for message, tokens in zip(request.messages, message_tokens, strict=True):
            digest.update(msgspec.json.encode(message))
            total += tokens
            if self._remember(digest.digest()):
                cached = total
        return cached // _STEP_TOKENS * _STEP_TOKENS if cached >= MIN_CACHED_TOKENS else 0

    def _remember(self, key: bytes) -> bool:
        known = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return known
