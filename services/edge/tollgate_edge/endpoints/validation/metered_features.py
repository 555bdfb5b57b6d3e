"""Allow-lists of Anthropic's features: the cost of each must appear in the usage and be bounded by the prompt.

A beta flag that is not in `FORWARDED_BETAS` is removed from the header, because a new beta may have a fee or a token
class without a price. It is not rejected: SDKs and agents send many flags by default, and Anthropic itself rejects a
body that needs a missing one. Sources: docs.anthropic.com/en/api/beta-headers and the page of each feature.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from tollgate_edge.http.costly_members import CostlyMembers
from tollgate_edge.http.errors import invalid_parameter, unsupported_value
from tollgate_edge.http.json_body import decode
from tollgate_edge.providers.base import Headers

# Both versions report usage in the same format: docs.anthropic.com/en/api/versioning.
VERSIONS = (b"2023-06-01", b"2026-10-21")
FORWARDED_BETAS = {
    "computer-use-2024-10-22": "client-side tools, counted like any tool",
    "computer-use-2025-01-24": "client-side tools, counted like any tool",
    "computer-use-2025-11-24": "client-side tools, counted like any tool",
    "context-management-2025-06-27": "removes old tool results and thinking from the prompt, which only gets shorter",
    "extended-cache-ttl-2025-04-11": "one-hour cache writes have their own price class",
    "fine-grained-tool-streaming-2025-05-14": "tool arguments arrive sooner, with the same tokens",
    "interleaved-thinking-2025-05-14": "thinking between tool calls is output within `max_tokens`",
    "model-context-window-exceeded-2025-08-26": "another stop reason",
    "output-128k-2025-02-19": "longer output, still within `max_tokens`",
    "output-300k-2026-03-24": "longer output, still within `max_tokens`",
    "pdfs-2024-09-25": "counted as input",
    "prompt-caching-2024-07-31": "cache reads and writes have their own price classes",
    "structured-outputs-2025-11-13": "the same tokens in a given format",
    "token-counting-2024-11-01": "free",
    "token-efficient-tools-2025-02-19": "fewer tokens for the same call",
}
"""Beta flags that are forwarded, and why each is safe."""

# Fields, their allowed values and the reason: other values change the price, and the usage does not state it.
_RESTRICTED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "fallbacks": ((None,), "the response of a fallback model cannot be metered here"),
    "inference_geo": ((None, "global"), "regional surcharges cannot be metered here"),
    "mcp_servers": ((None,), "content that MCP servers add to the prompt cannot be metered here"),
    "speed": ((None, "standard"), "speed surcharges cannot be metered here"),
}
# Anthropic's server tools. They have fees, add unbounded results to the prompt, or make the model read its prompt
# again. (A client-side tool search is an ordinary tool.)
_SERVER_TOOLS = ("advisor", "code_execution", "mcp_toolset", "tool_search", "web_fetch", "web_search")


# Tools that the client runs.
_CHAT_TOOLS = frozenset({"custom", "function"})


class _ChatTool(msgspec.Struct):
    type: str | None = None
    function: msgspec.Raw = msgspec.Raw()


_tools_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_tool_decoder = msgspec.json.Decoder(_ChatTool)


class RestrictedFields(CostlyMembers):
    """Fields of a request that accept only certain values."""

    fallbacks: Any = None
    inference_geo: Any = None
    mcp_servers: Any = None
    speed: Any = None

    def check(self) -> None:
        """Reject values that cannot be metered.

        Raises:
            ApiError: 400, with the name of the field.
        """
        for name, (allowed, problem) in _RESTRICTED.items():
            if getattr(self, name) not in allowed:
                raise unsupported_value(name, problem)
        self.check_costly_members()


def check_chat_tools(tools: msgspec.Raw) -> None:
    """Reject tools of Chat Completions that the client does not run itself, such as searches.

    The list is closed, because every other type is some provider's own: xAI's `live_search`, Groq's `browser_search`,
    Moonshot's `builtin_function`, Zhipu's `web_search`, `openrouter:web_search`.

    Raises:
        ApiError: 400.
    """
    if not tools or not bytes(tools).startswith(b"["):
        return
    for raw in _tools_decoder.decode(tools):
        if not bytes(raw).startswith(b"{"):
            raise invalid_parameter("tools", "expected a list of objects")
        tool = decode(_tool_decoder, bytes(raw))
        if (tool.type or ("function" if tool.function else "")) not in _CHAT_TOOLS:
            kind = tool.type or "a tool without a type"
            raise unsupported_value("tools", f"expected function or custom; the cost of {kind} cannot be metered here")


def check_tool(kind: str) -> None:
    """Reject a tool whose cost cannot be metered.

    Raises:
        ApiError: 400.
    """
    if kind.startswith(_SERVER_TOOLS):
        raise unsupported_value("tools", f"the cost of {kind} cannot be metered here")


def forwarded_headers(headers: Mapping[bytes, bytes]) -> Headers:
    """Return the client's headers that are forwarded to Anthropic.

    Raises:
        ApiError: 400; they name an unknown API version, whose usage format may differ.
    """
    return _forwarded(headers.get(b"anthropic-version"), headers.get(b"anthropic-beta", b""))


@lru_cache(maxsize=256)
def _forwarded(version: bytes | None, betas: bytes) -> Headers:
    forwarded = []
    if version is not None:
        if version not in VERSIONS:
            known = " or ".join(name.decode() for name in VERSIONS)
            raise unsupported_value("anthropic-version", f"expected {known}")
        forwarded.append(("anthropic-version", version.decode()))
    names = (name.strip() for name in betas.decode("latin-1").split(","))
    metered = ",".join(dict.fromkeys(name for name in names if name in FORWARDED_BETAS))
    return (*forwarded, ("anthropic-beta", metered)) if metered else tuple(forwarded)
