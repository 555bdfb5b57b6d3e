"""What a call costs, from the usage that its client was told, without any of the system's code."""

from fractions import Fraction
from typing import Any

# USD for a million tokens, as OpenAI publishes them.
USD = {
    "gpt-4o": {"input": Fraction("2.5"), "cached": Fraction("1.25"), "output": Fraction(10)},
    "gpt-4o-mini": {"input": Fraction("0.15"), "cached": Fraction("0.075"), "output": Fraction("0.6")},
}


def cost_nano(model: str, usage: dict[str, Any]) -> int:
    price = USD[model]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    micro_usd = (
        (usage["prompt_tokens"] - cached) * price["input"]
        + cached * price["cached"]
        + usage["completion_tokens"] * price["output"]
    )
    return int(micro_usd * 1_000 + Fraction(1, 2))
