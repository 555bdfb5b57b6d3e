"""Thinking that another provider signed, in the history of a conversation that goes to Claude.

A conversation may change its model. Claude verifies the signatures of thinking and rejects those of other providers, so
their blocks are left out. The texts and tool calls of the turn stay.
"""

from typing import Any

import msgspec

from tollgate_edge.providers.translators.anthropic_to_openai import REASONING_FIELDS
from tollgate_edge.providers.translators.anthropic_to_responses import SIGNATURE_PREFIX

_TRACES = (SIGNATURE_PREFIX.encode(), *(b'"%b"' % field.encode() for field in REASONING_FIELDS))


def without_foreign_thinking(body: bytes) -> bytes:
    """Return a request of Messages without thinking that other providers signed; the body itself if it has none."""
    if not any(trace in body for trace in _TRACES):
        return body
    request: dict[str, Any] = msgspec.json.decode(body)
    for message in request["messages"]:
        content = message.get("content")
        if isinstance(content, list):
            message["content"] = [block for block in content if not _is_foreign(block)]
    # A turn that was nothing but such thinking has no content left, which Claude rejects, too.
    request["messages"] = [message for message in request["messages"] if message.get("content") != []]
    return msgspec.json.encode(request)


def _is_foreign(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return isinstance(signature, str) and (signature in REASONING_FIELDS or signature.startswith(SIGNATURE_PREFIX))
