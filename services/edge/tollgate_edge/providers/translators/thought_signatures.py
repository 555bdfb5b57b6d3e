"""Gemini's thought signatures, carried in the ids of tool calls.

Gemini 3 rejects a tool call in the history that comes back without the signature of the thoughts behind it. OpenAI's
and Anthropic's SDKs return only the id, the name and the arguments of a call, so the id carries the signature:
`call_1__thought__<signature in URL-safe base64>`. LiteLLM uses the same separator (THOUGHT_SIGNATURE_SEPARATOR in
litellm_core_utils/prompt_templates/factory.py). The alphabet is the one that Anthropic accepts in ids, [a-zA-Z0-9_-].
A signature that is not canonical base64 is encoded once more, behind a separator of its own.

Sources: ai.google.dev/gemini-api/docs/thought-signatures and ai.google.dev/gemini-api/docs/openai (`extra_content`).
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress

import msgspec

from tollgate_edge.providers.translators.base import Json

_SEPARATOR, _ENCODED_SEPARATOR = "__thought__", "__thought64__"
_NAME = "thought_signature"
_ANY_SEPARATOR = re.compile(f"{_SEPARATOR}|{_ENCODED_SEPARATOR}")
_TO_ID, _FROM_ID = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")


def id_with_signature(call_id: str, signature: str | None) -> str:
    if not signature:
        return call_id
    carried = signature.rstrip("=").translate(_TO_ID)
    if carried.isascii() and carried.replace("-", "").replace("_", "").isalnum() and _from_id(carried) == signature:
        return f"{call_id}{_SEPARATOR}{carried}"
    return f"{call_id}{_ENCODED_SEPARATOR}{urlsafe_b64encode(signature.encode()).decode().rstrip('=')}"


def id_without_signature(call_id: str) -> str:
    return _ANY_SEPARATOR.split(call_id, maxsplit=1)[0] or call_id


def signature_extra(signature: str) -> Json:
    """Return the field that carries a signature in Google's OpenAI-compatible API."""
    return {"extra_content": {"google": {_NAME: signature}}}


def signature_of(part: Json) -> str:
    """Return the signature of a tool call, a message or an image that a client sends back; empty if it has none."""
    fields = (
        (part.get("extra_content") or {}).get("google"),
        # LiteLLM's name, which its clients send to any server.
        part.get("provider_specific_fields"),
    )
    for field in fields:
        signature = (field or {}).get(_NAME)
        if signature:
            return str(signature)
    return _signature_in_id(part.get("id") or "")


def _signature_in_id(call_id: str) -> str:
    encoded = call_id.partition(_ENCODED_SEPARATOR)[2]
    with suppress(ValueError):
        if encoded:
            return urlsafe_b64decode(_padded(encoded)).decode()
    return _from_id(call_id.partition(_SEPARATOR)[2].rstrip("="))


def _from_id(carried: str) -> str:
    return _padded(carried.translate(_FROM_ID))


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


def without_signatures(body: bytes) -> bytes:
    """Return a chat request whose ids carry no signatures, for a provider that limits the length of ids.

    OpenAI accepts at most 40 characters in `tool_calls[].id`. A signature has hundreds or thousands.
    """
    if _SEPARATOR.encode() not in body and _ENCODED_SEPARATOR.encode() not in body:
        return body
    chat: Json = msgspec.json.decode(body)
    try:
        for message in chat["messages"]:
            for call in message.get("tool_calls") or ():
                call["id"] = id_without_signature(call["id"])
            if "tool_call_id" in message:
                message["tool_call_id"] = id_without_signature(message["tool_call_id"])
    except (AttributeError, KeyError, TypeError):
        # The provider explains better what is wrong with the messages.
        return body
    return msgspec.json.encode(chat)
