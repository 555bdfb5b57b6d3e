"""Token counting for responses without usage: cookbook.openai.com, "How to count tokens with tiktoken".

The result is an estimate for any model, with the vocabulary of OpenAI's newer models. Each message costs three tokens
plus its role and text; a name costs one more; the response is primed with three. The cost of tool definitions is not
published, so their JSON is counted. An image costs what gpt-4o charges for low detail or for four tiles.
"""

from typing import Any

import msgspec

# The package's public API rejects texts above a million characters and builds a list to count. Its core does neither.
from bpe_openai import _bindings

# Raised by counting if a value has an unexpected shape or nests too deep.
UNCOUNTABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

_vocabulary = _bindings.tokenizer_for_encoding("o200k_base")
_PER_MESSAGE = 3
_PER_NAME = 1
_PRIMING = 3
_LOW_DETAIL_TOKENS = 85
_IMAGE_TOKENS = 765


def count_text(text: str) -> int:
    return int(_vocabulary.count(text))


def count_input(value: Any) -> int:
    """Count the tokens of an input of any shape: texts at any depth, and token ids."""
    total, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            total += count_text(part)
        elif isinstance(part, list):
            others = [item for item in part if not isinstance(item, int)]
            total += len(part) - len(others)
            waiting += others
        elif isinstance(part, dict):
            waiting += [part.get(name) for name in ("text", "content", "arguments", "output")]
    return total


def count_prompt(body: bytes) -> int:
    """Count the tokens of a chat completion request, whose body must be valid JSON."""
    request = msgspec.json.decode(body)
    total = _PRIMING + sum(_message(message) for message in request["messages"])
    for field in ("tools", "functions", "response_format"):
        if request.get(field):
            total += count_text(msgspec.json.encode(request[field]).decode())
    return total


def _message(message: Any) -> int:
    if not isinstance(message, dict):
        return _PER_MESSAGE
    total = _PER_MESSAGE + _texts(message.get("role")) + _content(message.get("content"))
    if message.get("name"):
        total += _PER_NAME + _texts(message["name"])
    calls = message.get("tool_calls")
    return total + sum(_call(call) for call in calls if isinstance(call, dict)) if isinstance(calls, list) else total


def _call(call: dict[str, Any]) -> int:
    function = call.get("function")
    return _texts(function.get("name"), function.get("arguments")) if isinstance(function, dict) else 0


def _content(content: Any) -> int:
    if not isinstance(content, list):
        return _texts(content)
    return sum(_part(part) for part in content if isinstance(part, dict))


def _part(part: dict[str, Any]) -> int:
    image = part.get("image_url")
    if image is not None:
        low = isinstance(image, dict) and image.get("detail") == "low"
        return _LOW_DETAIL_TOKENS if low else _IMAGE_TOKENS
    return _texts(part.get("text"), part.get("refusal"))


def _texts(*values: Any) -> int:
    return sum(count_text(value) for value in values if isinstance(value, str))
