"""What a body only names and the provider keeps: an answer, a conversation, a file, a container.

All accounts share the operator's key there, so that whatever one of them had the provider keep, another could name. So
nothing is kept, as far as that can be asked for, and every name is refused:
docs/decisions/0018-store-nothing-at-providers.md.
"""

from typing import Any

import msgspec

from tollgate_edge.http.errors import ApiError, unsupported_value
from tollgate_edge.http.json_body import decode, unescaped

# A body without these names nothing that matters here, and need not be read.
_HINTS = (b"file_id", b'"audio"')
# What the model or the client wrote itself: a member there is its own word, and names nothing at the provider.
_OWN_WORDS = frozenset({"annotations", "arguments", "citations", "input"})
_decoder = msgspec.json.Decoder[Any]()


def unsupported_reference(param: str, hint: str = "") -> ApiError:
    return unsupported_value(param, f"nothing is kept at the provider for you; send what it stands for{hint}")


def check_messages(body: bytes, messages: list[msgspec.Raw]) -> None:
    """Refuse messages that name a file, or an answer that was spoken earlier.

    Args:
        body: which they are part of: most have nothing that looks like it.
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
        if message.get("audio") is not None or _names_file(message.get("content")):
            raise unsupported_reference("messages")


def check_input(body: bytes, given: msgspec.Raw) -> None:
    """Refuse an input of Responses that names a file.

    Raises:
        ApiError: 400.
    """
    if given and _may_refer(body) and _names_file(decode(_decoder, given)):
        raise unsupported_reference("input")


def _may_refer(body: bytes) -> bool:
    names = unescaped(body)
    return any(hint in names for hint in _HINTS)


def _names_file(value: Any) -> bool:
    """Whether a part of a prompt, however deep, names a file that the provider keeps."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if part.get("file_id"):
                return True
            waiting += [member for name, member in part.items() if name not in _OWN_WORDS]
    return False
