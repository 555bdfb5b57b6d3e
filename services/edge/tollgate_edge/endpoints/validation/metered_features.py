"""Which of Anthropic's features are passed on: those whose whole cost the usage tells and the prompt bounds.

`BETAS` is an allow-list: a beta of tomorrow may have a fee or a class of tokens that no price here knows. One that is
not in it is left out of the header, not refused: SDKs and agents send many of their own accord, and Anthropic itself
refuses a body that needs one. Sources: docs.anthropic.com/en/api/beta-headers and the pages of each.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from tollgate_edge.http.errors import unsupported_value
from tollgate_edge.providers.base import Headers

# Usage is told the same way in both: docs.anthropic.com/en/api/versioning.
VERSIONS = (b"2023-06-01", b"2026-10-21")
BETAS = {
    "computer-use-2024-10-22": "tools that the client runs, counted as any tool",
    "computer-use-2025-01-24": "tools that the client runs, counted as any tool",
    "computer-use-2025-11-24": "tools that the client runs, counted as any tool",
    "context-management-2025-06-27": "leaves old results and thoughts out of the prompt, which only gets shorter",
    "extended-cache-ttl-2025-04-11": "cache writes for an hour are a class with a price of its own",
    "fine-grained-tool-streaming-2025-05-14": "arguments of tools come sooner, the same tokens",
    "interleaved-thinking-2025-05-14": "thoughts between calls of tools are output within `max_tokens`",
    "model-context-window-exceeded-2025-08-26": "another word for why an answer ended",
    "output-128k-2025-02-19": "longer answers, still within `max_tokens`",
    "output-300k-2026-03-24": "longer answers, still within `max_tokens`",
    "pdfs-2024-09-25": "counted as input",
    "prompt-caching-2024-07-31": "reads and writes are classes with prices of their own",
    "structured-outputs-2025-11-13": "the same tokens in another form",
    "token-counting-2024-11-01": "free",
    "token-efficient-tools-2025-02-19": "fewer tokens for the same call",
}
"""Betas that are passed on, and why that is safe."""

# Members of a body, what they may be, and why nothing else: they change the price, which no usage tells.
_LIMITED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "fallbacks": ((None,), "the answer of another model could not be metered here"),
    "inference_geo": ((None, "global"), "the surcharge of a region could not be metered here"),
    "mcp_servers": ((None,), "what servers bring into the prompt could not be metered here"),
    "speed": ((None, "standard"), "the surcharge of a speed could not be metered here"),
}
# Tools of Anthropic's own that have fees, whose results fill a prompt that nobody could bound before, or after each use
# of which the model reads its prompt again. (A search for tools that the client runs is a tool like any other.)
_ANTHROPICS_TOOLS = ("advisor", "code_execution", "mcp_toolset", "tool_search", "web_fetch", "web_search")


class RestrictedFields(msgspec.Struct):
    """The members of a body that may not be what they like."""

    fallbacks: Any = None
    inference_geo: Any = None
    mcp_servers: Any = None
    speed: Any = None

    def check(self) -> None:
        """Refuse what could not be metered.

        Raises:
            ApiError: 400, with the member's name.
        """
        for name, (allowed, problem) in _LIMITED.items():
            if getattr(self, name) not in allowed:
                raise unsupported_value(name, problem)


def check_tool(kind: str) -> None:
    """Refuse a tool whose cost could not be metered.

    Raises:
        ApiError: 400.
    """
    if kind.startswith(_ANTHROPICS_TOOLS):
        raise unsupported_value("tools", f"the cost of {kind} could not be metered here")


def forwarded_headers(headers: Mapping[bytes, bytes]) -> Headers:
    """What goes to Anthropic of a client's headers.

    Raises:
        ApiError: 400; they ask for a version whose usage nobody knows here.
    """
    return _passed(headers.get(b"anthropic-version"), headers.get(b"anthropic-beta", b""))


@lru_cache(maxsize=256)
def _passed(version: bytes | None, betas: bytes) -> Headers:
    passed = []
    if version is not None:
        if version not in VERSIONS:
            known = " or ".join(name.decode() for name in VERSIONS)
            raise unsupported_value("anthropic-version", f"expected {known}")
        passed.append(("anthropic-version", version.decode()))
    names = (name.strip() for name in betas.decode("latin-1").split(","))
    metered = ",".join(dict.fromkeys(name for name in names if name in BETAS))
    return (*passed, ("anthropic-beta", metered)) if metered else tuple(passed)
