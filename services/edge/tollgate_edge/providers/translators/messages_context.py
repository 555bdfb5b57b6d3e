"""What a translation of Messages depends on besides the request: the provider's limits, and names that it changed.

OpenAI limits names of tools to 64 characters (Anthropic: 128), ids of calls to 40, `user` to 64 and `stop` to four
texts. Compatible servers have ids with other characters, such as Kimi's `functions.look:0`, which Anthropic's clients
reject. Ids are mapped without state, so that a history maps as the response before it did.

Sources: platform.openai.com/docs/api-reference/chat/create, docs.anthropic.com/en/api/messages and
huggingface.co/moonshotai/Kimi-K2-Instruct (docs/tool_call_guidance.md).
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from hashlib import sha256
from typing import NamedTuple
from uuid import uuid4

from tollgate_edge.providers.translators.base import Json, content_text
from tollgate_edge.usage.merging import NOTHING_STATED, StatedUsage
from tollgate_edge.usage.rendering import as_messages_usage
from tollgate_edge.usage.token_counting import UNCOUNTABLE, count_messages_prompt

_MAX_NAME_CHARS = 64
_MAX_USER_CHARS = 64
_DIGEST_CHARS = 8
_ID_DIGEST_CHARS = 32
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")
_ENCODED_ID = "call64_"


class Dialect(NamedTuple):
    """What a provider's chat completions accept."""

    max_id_chars: int | None = None
    max_stops: int | None = None
    has_short_names: bool = False
    """Whether names of tools are limited to 64 letters, digits, `_` and `-`."""
    reads_reasoning: bool = False
    """Whether an assistant's turn may have reasoning beside its tool calls."""
    has_responses: bool = False
    """Whether models that reason are served by `/v1/responses`."""


PLAIN = Dialect()
OPENAI = Dialect(max_id_chars=40, max_stops=4, has_short_names=True, has_responses=True)
COMPATIBLE = Dialect(has_short_names=True, reads_reasoning=True)


class MessagesContext:
    """One request's translation to a provider, and the translation of its response back."""

    def __init__(self, dialect: Dialect = PLAIN, max_output_tokens: int | None = None) -> None:
        """Start the translation of one request.

        Args:
            dialect: what the provider accepts.
            max_output_tokens: the model's longest response; None if unknown. OpenAI rejects a higher limit.
        """
        self.dialect = dialect
        self._max_output_tokens = max_output_tokens
        self._original_names: dict[str, str] = {}
        self._request: Json = {}

    def begin(self, messages: Json) -> None:
        """Keep the request, whose prompt is counted if the provider states no usage."""
        self._request = messages

    def limit(self, max_tokens: int) -> int:
        return min(max_tokens, self._max_output_tokens or max_tokens)

    def user(self, messages: Json) -> str | None:
        user: str | None = (messages.get("metadata") or {}).get("user_id")
        return sha256(user.encode()).hexdigest() if user and len(user) > _MAX_USER_CHARS else user

    def provider_name(self, name: str) -> str:
        """Return a tool's name as the provider accepts it. `client_name` maps it back."""
        if not self.dialect.has_short_names or (len(name) <= _MAX_NAME_CHARS and not _UNSAFE.search(name)):
            return name
        digest = sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
        short = f"{_UNSAFE.sub('_', name)[: _MAX_NAME_CHARS - _DIGEST_CHARS - 1]}_{digest}"
        self._original_names[short] = name
        return short

    def client_name(self, name: str) -> str:
        return self._original_names.get(name, name)

    def provider_id(self, call_id: str) -> str:
        """Return the provider's id of a tool call in the history."""
        if call_id.startswith(_ENCODED_ID):
            encoded = call_id.removeprefix(_ENCODED_ID)
            with suppress(ValueError):
                call_id = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        limit = self.dialect.max_id_chars
        if limit is None or len(call_id) <= limit:
            return call_id
        return f"call_{sha256(call_id.encode()).hexdigest()[:_ID_DIGEST_CHARS]}"

    def estimated_usage(self, output_tokens: int) -> Json:
        """Return a usage that the provider did not state. `estimated` tells a reader not to meter by it."""
        counts = {"input_tokens": self._count_prompt(), "output_tokens": output_tokens}
        return counts | {"estimated": True}

    def usage(self, stated: StatedUsage, output_tokens: int) -> Json:
        """Return the usage for the client: as the provider stated it, or an estimate."""
        return self.estimated_usage(output_tokens) if stated == NOTHING_STATED else as_messages_usage(stated)

    def _count_prompt(self) -> int:
        try:
            return count_messages_prompt(self._request)
        except UNCOUNTABLE:
            return 0


def client_id(call_id: str | None) -> str:
    """Return a call's id in the alphabet that Anthropic's clients accept. `provider_id` maps it back."""
    if not call_id:
        return new_id()
    if not _UNSAFE.search(call_id):
        return call_id
    return _ENCODED_ID + urlsafe_b64encode(call_id.encode()).decode().rstrip("=")


def new_id() -> str:
    return f"call_{uuid4().hex}"


def document_text(block: Json) -> str | None:
    """Return the text of a block that chat completions have no type for; None if it is not a text.

    Results of Anthropic's server tools are in the history of a conversation that began at Anthropic.
    """
    match block["type"]:
        case "text":
            return str(block["text"])
        case "tool_reference":
            # The tool names that a search found: chat completions cannot load tools later.
            return str(block.get("tool_name") or "")
        case "search_result":
            return _titled(block, content_text(block.get("content")))
        case "document" if block["source"]["type"] in ("content", "text"):
            source = block["source"]
            return _titled(block, source["data"] if source["type"] == "text" else content_text(source["content"]))
        case kind if kind.endswith("_tool_result") and isinstance(block.get("content"), list):
            return "\n".join(
                f"{found.get('title') or ''} {found.get('url') or ''}".strip() for found in block["content"]
            )
    return None


def _titled(block: Json, text: str) -> str:
    heading = "\n".join(str(block[name]) for name in ("title", "context") if block.get(name))
    return f"{heading}\n{text}" if heading else text


def error_text(result: Json, text: str) -> str:
    """Mark the text of a tool's failed result. OpenAI's protocols have no field for it."""
    if not result.get("is_error") or text.lower().lstrip("<[").startswith(("error", "tool_use_error")):
        return text
    return f"Error: {text}" if text else "Error"
