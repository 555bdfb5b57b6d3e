"""Checks that reject references to objects stored at the provider: responses, conversations, files and containers.

All accounts share the operator's provider key, so any account could refer to an object that another one stored. The
edge therefore asks providers to store nothing and rejects every reference:
docs/decisions/0018-store-nothing-at-providers.md.
"""

from typing import Any

import msgspec

from tollgate_edge.http.errors import ApiError, unsupported_value
from tollgate_edge.http.json_body import decode, unescaped

# A body without these bytes has no reference and need not be parsed.
_HINTS = (b"file_id", b'"audio"')
# Fields whose content the model or the client wrote: a `file_id` in them is not a reference.
_FREE_CONTENT = frozenset({"annotations", "arguments", "citations", "input"})
_decoder = msgspec.json.Decoder[Any]()


def unsupported_reference(param: str, hint: str = "") -> ApiError:
    return unsupported_value(param, f"nothing is stored at the provider; send the content itself{hint}")


def check_messages(body: bytes, messages: list[msgspec.Raw]) -> None:
    """Reject messages that refer to a file or to an earlier audio response.

    Args:
        body: the whole request; most contain no such bytes, and then the messages are not parsed.
        messages: of Chat Completions or of Messages.

    Raises:
        ApiError: 400.
    """
    if not _may_refer(body):
        return
    for raw in messages:
        message = decode(_decoder, raw)
        if not isinstance(message, dict):
            continue
        if message.get("audio") is not None or _refers_to_file(message.get("content")):
            raise unsupported_reference("messages")


def check_input(body: bytes, given: msgspec.Raw) -> None:
    """Reject an input of Responses that refers to a file.

    Raises:
        ApiError: 400.
    """
    if given and _may_refer(body) and _refers_to_file(decode(_decoder, given)):
        raise unsupported_reference("input")


def _may_refer(body: bytes) -> bool:
    names = unescaped(body)
    return any(hint in names for hint in _HINTS)


def _refers_to_file(value: Any) -> bool:
    """Whether any part of a prompt, at any depth, refers to a file stored at the provider."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if part.get("file_id"):
                return True
            waiting += [member for name, member in part.items() if name not in _FREE_CONTENT]
    return False
