"""Differences between Claude models that a translated request must respect.

A model's version is read from its name, also as Bedrock, Vertex and OpenRouter spell it. A Claude name without a
version counts as the newest model; any other name has no known restrictions.

Sources, at platform.claude.com/docs/en: models/opus-5-5/migration-guide and models/sonnet-5/migration-guide (sampling
parameters, prefill, forced tool use), about-claude/models/overview (output limits), build-with-claude/effort (efforts).
"""

import re
from typing import NamedTuple

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_NEWEST = (99, 0)
_DEFAULT_OUTPUT_TOKENS = 64_000


class ClaudeModel(NamedTuple):
    name: str
    version: tuple[int, int] | None
    """None if the name is not one of Claude's."""

    @property
    def accepts_sampling(self) -> bool:
        """Whether `temperature` and `top_p` may differ from their defaults."""
        return self.version is None or self.version < (4, 7)

    @property
    def accepts_both_samplings(self) -> bool:
        """Whether `temperature` and `top_p` may stand together."""
        return self.version is None or self.version < (4, 1)

    @property
    def accepts_prefill(self) -> bool:
        """Whether the last message may be the assistant's."""
        return self.version is None or self.version < (4, 6)

    @property
    def accepts_forced_tools(self) -> bool:
        """Whether `tool_choice` may demand a call."""
        if self.version is None or "sonnet" in self.name or "haiku" in self.name:
            return True
        return self.version < ((5, 5) if "opus" in self.name else (5, 1))

    @property
    def output_tokens(self) -> int:
        """The longest response of the model, for a catalog that does not know it."""
        if self.version is None:
            return _DEFAULT_OUTPUT_TOKENS
        if self.version < (3, 7):
            return 8_192 if self.version >= (3, 5) else 4_096
        if "opus" in self.name and self.version <= (4, 1):
            return 32_000
        return _DEFAULT_OUTPUT_TOKENS if self.version < (4, 6) else 128_000

    def effort(self, effort: str) -> str | None:
        """Return the nearest effort that the model accepts; None if it has no efforts."""
        if self.version is None or self.version >= (4, 7):
            return effort
        if self.version == (4, 6):
            return "high" if effort == "xhigh" else effort
        if self.version == (4, 5) and "opus" in self.name:
            return "high" if effort in {"xhigh", "max"} else effort
        return None


def claude_model(name: str) -> ClaudeModel:
    name = name.lower()
    found = _VERSION.search(name)
    if found is not None:
        return ClaudeModel(name, (int(found[1]), int(found[2] or 0)))
    return ClaudeModel(name, _NEWEST if "claude-" in name else None)
