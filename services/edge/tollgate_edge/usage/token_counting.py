"""Token counting for responses without usage: cookbook.openai.com, "How to count tokens with tiktoken".

The result is an estimate for any model, with the vocabulary of OpenAI's newer models. Each message costs three tokens
plus its role and text; a name costs one more; the response is primed with three. The cost of tool definitions is not
published, so their JSON is counted. An image costs what gpt-4o charges for low detail or for four tiles.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

# The package's public API rejects texts above a million characters and builds a list to count. Its core does neither.
from bpe_openai import _bindings

from tollgate_common.private_api import require

# Raised by counting if a value has an unexpected shape or nests too deep.
UNCOUNTABLE = (msgspec.DecodeError, UnicodeError, RecursionError, AttributeError, KeyError, TypeError)

require(_bindings, "tokenizer_for_encoding")
_vocabulary = _bindings.tokenizer_for_encoding("o200k_base")
_PER_MESSAGE = 3
_PER_NAME = 1
_PRIMING = 3
_LOW_DETAIL_TOKENS = 85
_IMAGE_TOKENS = 765


def count_text(text: str) -> int:
    try:
        return int(_vocabulary.count(text))
    except UnicodeEncodeError:
        # Half of a surrogate pair, where a provider cut a character in two.
        return int(_vocabulary.count(text.encode(errors="replace").decode()))


# Members of a request's content that a model reads. Others are names of the protocol, addresses and encrypted data.
_READ = (
    "text",
    "content",
    "arguments",
    "output",
    "thinking",
    "reasoning",
    "summary",
    "refusal",
    "name",
    "title",
    "context",
)
_IMAGE_TYPES = frozenset({"image", "image_url", "input_image", "computer_screenshot"})


def count_input(value: Any) -> int:
    """Count the tokens of an input of any shape: texts at any depth, calls of tools, images, and token ids."""
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
            if part.get("type") in _IMAGE_TYPES:
                total += _image_tokens(part)
                continue
            waiting += [part.get(name) for name in _READ]
            source = part.get("source")
            if isinstance(source, dict) and source.get("type") in ("text", "content"):
                # A document of plain text or of blocks.
                waiting += [source.get("data"), source.get("content")]
            if isinstance(part.get("input"), dict | list):
                total += count_json(part["input"])
            elif isinstance(part.get("input"), str):
                waiting.append(part["input"])
    return total


def count_json(value: Any) -> int:
    """Count the tokens of a value's JSON; an empty value counts zero."""
    return count_text(msgspec.json.encode(value).decode()) if value else 0


def count_turns(turns: Iterable[Any], *others: Any, schemas: Iterable[Any] = ()) -> int:
    """Count a conversation as chat completions count theirs.

    Args:
        turns: the messages, or the items of Responses.
        others: instructions in any shape, such as a system prompt.
        schemas: definitions of tools and of the response's format, whose JSON is counted.
    """
    total = sum(count_json(schema) for schema in schemas)
    total += sum(_PER_MESSAGE + count_input(other) for other in others if other)
    has_messages = False
    for turn in turns:
        total += count_input(turn)
        if isinstance(turn, dict):
            has_messages = True
            total += _PER_MESSAGE + _texts(turn.get("role"))
    return total + (_PRIMING if has_messages else 0)


def count_messages_prompt(request: Mapping[str, Any]) -> int:
    """Count the tokens of a decoded request of Anthropic's Messages."""
    schemas = (request.get("tools"), (request.get("output_config") or {}).get("format"))
    return count_turns(request.get("messages") or (), request.get("system"), schemas=schemas)


def count_prompt(body: bytes) -> int:
    """Count the tokens of a chat completion request, whose body must be valid JSON."""
    request = msgspec.json.decode(body)
    total = _PRIMING + sum(_message(message) for message in request["messages"])
    return total + sum(count_json(request.get(field)) for field in ("tools", "functions", "response_format"))


def _message(message: Any) -> int:
    if not isinstance(message, dict):
        return _PER_MESSAGE
    total = _PER_MESSAGE + _texts(message.get("role"), message.get("reasoning_content"), message.get("reasoning"))
    total += _content(message.get("content"))
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
    if part.get("image_url") is not None:
        return _image_tokens(part)
    return _texts(part.get("text"), part.get("refusal"))


def _image_tokens(part: dict[str, Any]) -> int:
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, dict) else part.get("detail")
    return _LOW_DETAIL_TOKENS if detail == "low" else _IMAGE_TOKENS


def _texts(*values: Any) -> int:
    return sum(count_text(value) for value in values if isinstance(value, str))
