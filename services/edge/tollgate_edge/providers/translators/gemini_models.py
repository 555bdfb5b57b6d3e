"""Differences between Gemini models that a translated request must respect.

A `gemini-` name without a version, such as `gemini-flash-latest`, counts as the newest model.

Sources: ai.google.dev/gemini-api/docs/openai (efforts), docs.cloud.google.com/gemini-enterprise-agent-platform/models/
thinking (levels of each model), ai.google.dev/gemini-api/docs/image-generation.
"""

import re
from typing import Any, NamedTuple

_VERSION = re.compile(r"gemini-(?:[a-z]+-)*(\d+)(?:\.(\d+))?")
_NEWEST = (99, 0)
# The thinking budget for each of OpenAI's efforts, as in Google's OpenAI-compatible API.
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
_MIN_PRO_BUDGET = 128
_LEVELS = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
# Every other model rejects `minimal`.
_WITH_MINIMAL = ("gemini-3-flash", "gemini-3.1-flash-lite", "gemini-3.5-flash", "gemini-3.6-flash")
_WITH_TWO_LEVELS = "gemini-3-pro"
_IMAGE_WITH_LEVELS = "gemini-3.1-flash-image"


class GeminiModel(NamedTuple):
    name: str
    version: tuple[int, int]

    @property
    def checks_signatures(self) -> bool:
        """Whether a tool call in the history must have a thought signature."""
        return self.version >= (3, 0)

    @property
    def takes_media_in_results(self) -> bool:
        """Whether the result of a tool call may contain images and documents."""
        return self.version >= (3, 0)

    def thinking(self, effort: str) -> dict[str, Any] | None:
        """Return the `thinkingConfig` for one of OpenAI's efforts; None if the model has no such setting."""
        if effort not in _BUDGETS:
            return None
        if self.version >= (3, 0):
            level = self._level(_LEVELS[effort])
            return {"thinkingLevel": level} if level else None
        if "image" in self.name:
            return None
        budget = _BUDGETS[effort]
        # Thinking cannot be switched off in Pro.
        return {"thinkingBudget": max(budget, _MIN_PRO_BUDGET) if "pro" in self.name else budget}

    def _level(self, level: str) -> str | None:
        if _IMAGE_WITH_LEVELS in self.name:
            return "minimal" if level in {"minimal", "low"} else "high"
        if "image" in self.name:
            return None
        if level == "minimal" and not any(name in self.name for name in _WITH_MINIMAL):
            return "low"
        return "high" if level == "medium" and _WITH_TWO_LEVELS in self.name else level


def gemini_model(name: str) -> GeminiModel:
    name = name.lower()
    found = _VERSION.search(name)
    if found is not None:
        return GeminiModel(name, (int(found[1]), int(found[2] or 0)))
    return GeminiModel(name, _NEWEST if "gemini-" in name else (0, 0))
