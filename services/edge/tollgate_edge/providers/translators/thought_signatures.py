"""Gemini's thought signatures, carried in the ids of tool calls.

Gemini 3 rejects a tool call in the history that comes back without the signature of the thoughts behind it. OpenAI's
and Anthropic's SDKs return only the id, the name and the arguments of a call, so the id carries the signature:
`call_1__thought__<signature in URL-safe base64>`. LiteLLM uses the same separator (THOUGHT_SIGNATURE_SEPARATOR in
litellm_core_utils/prompt_templates/factory.py). The alphabet is the one that Anthropic accepts in ids, [a-zA-Z0-9_-].

Sources: ai.google.dev/gemini-api/docs/thought-signatures and ai.google.dev/gemini-api/docs/openai (`extra_content`).
"""

import re

import msgspec

from tollgate_edge.providers.translators.base import Json

_SEPARATOR = "__thought__"
_NAME = "thought_signature"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_TO_ID, _FROM_ID = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")


def id_with_signature(call_id: str, signature: str | None) -> str:
    """Return an id that carries the signature. A signature that is not base64 is left out."""
    if not signature or _BASE64.fullmatch(signature) is None:
        return call_id
    return f"{call_id}{_SEPARATOR}{signature.rstrip('=').translate(_TO_ID)}"


def id_without_signature(call_id: str) -> str:
    return call_id.partition(_SEPARATOR)[0] or call_id


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
    signature = call_id.partition(_SEPARATOR)[2].rstrip("=").translate(_FROM_ID)
    return signature + "=" * (-len(signature) % 4)


def without_signatures(body: bytes) -> bytes:
    """Return a chat request whose ids carry no signatures, for a provider that limits the length of ids.

    OpenAI accepts at most 40 characters in `tool_calls[].id`. A signature has hundreds or thousands.
    """
    if _SEPARATOR.encode() not in body:
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
