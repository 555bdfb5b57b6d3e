"""Token counting of chat prompts as at OpenAI: cookbook.openai.com, "How to count tokens with tiktoken".

Each message costs three tokens plus its role and text; a name costs one more; the response is primed with three. The
cost of tool definitions is not published, so their JSON is counted. An image costs what gpt-4o charges for low detail
or for four tiles.
"""

from functools import lru_cache
from typing import Final

import msgspec

# The package's public API rejects texts above a million characters and builds a list to count. Its core does neither.
from bpe_openai import _bindings

from tollgate_local.provider.request import ChatRequest, Message, Part

_VOCABULARY: Final = _bindings.tokenizer_for_encoding("o200k_base")
_PER_MESSAGE: Final = 3
_PER_NAME: Final = 1
_PRIMING: Final = 3
_IMAGE_TOKENS: Final = {"low": 85, "high": 765, "auto": 765}
# Longer texts are not cached. The cache holds at most 1024 * 32 Ki characters.
_CACHED_CHARACTERS: Final = 32_768


def count_tokens(text: str) -> int:
    return _cached_count(text) if len(text) <= _CACHED_CHARACTERS else int(_VOCABULARY.count(text))


@lru_cache(maxsize=1_024)
def _cached_count(text: str) -> int:
    return int(_VOCABULARY.count(text))


def split_tokens(text: str) -> tuple[str, ...]:
    """Split an ASCII text into the texts of its tokens. In other texts a token may end inside a character."""
    return tuple(_VOCABULARY.decode([token]) for token in _VOCABULARY.encode(text))


def message_tokens(message: Message) -> int:
    total = _PER_MESSAGE + count_tokens(message.role)
    content = message.content
    if isinstance(content, str):
        total += count_tokens(content)
    elif content:
        total += sum(map(_part_tokens, content))
    if message.name:
        total += _PER_NAME + count_tokens(message.name)
    for call in message.tool_calls or ():
        total += count_tokens(call.function.name) + count_tokens(call.function.arguments)
    return total


def _part_tokens(part: Part) -> int:
    if part.image_url is not None:
        return _IMAGE_TOKENS[part.image_url.detail]
    return count_tokens(part.text) + count_tokens(part.refusal)


def preamble_tokens(request: ChatRequest) -> int:
    """Count the tokens besides the messages: the priming and the schemas of tools and of the response."""
    total = _PRIMING
    if request.tools:
        total += count_tokens(msgspec.json.encode(request.tools).decode())
    if request.response_format is not None and request.response_format.json_schema is not None:
        total += count_tokens(msgspec.json.encode(request.response_format.json_schema).decode())
    return total
