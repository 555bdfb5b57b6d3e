"""What providers publish about their models besides prices, by families of names: the maximum output, and whether paid
output contains reasoning that streams do not show.

Sources: platform.openai.com/docs/models, ai.google.dev/gemini-api/docs/models, docs.x.ai/docs/models and
docs.anthropic.com/en/docs/about-claude/models. A maximum output is an upper bound, and given only for names
that are certain. For other models the context length is the bound.
"""

import re
from typing import NamedTuple

from tollgate_common.events import REASONING


class ModelMetadata(NamedTuple):
    max_output_tokens: int | None
    capabilities: tuple[str, ...] = ()


_DATE = r"(-\d{4}-?\d\d-?\d\d)?"
# The families of each provider. The first match applies.
_CLAUDE = (
    (rf"claude-opus-4-[01]{_DATE}", ModelMetadata(32_000, (REASONING,))),
    (rf"claude-(3-7-sonnet(-latest)?|sonnet-4-0|(opus|sonnet|haiku)-4-5){_DATE}", ModelMetadata(64_000, (REASONING,))),
    (rf"claude-[a-z]+-(4-[678]|5(-\d)?){_DATE}", ModelMetadata(128_000, (REASONING,))),
)
_GPT = r"gpt-[56](\.\d+)?"
_VARIANTS = r"-(mini|nano|pro|codex(-max|-mini)?|astra|cyber|luna|sol|terra)"
_FAMILIES = {
    "openai": (
        (rf"o[134](-mini|-pro)?{_DATE}", ModelMetadata(100_000, (REASONING,))),
        (rf"{_GPT}-chat(-latest)?", ModelMetadata(16_384, (REASONING,))),
        (rf"gpt-5-pro{_DATE}", ModelMetadata(272_000, (REASONING,))),
        (rf"{_GPT}({_VARIANTS})?{_DATE}", ModelMetadata(128_000, (REASONING,))),
        (rf"{_GPT}(?!.*(image|audio)).*", ModelMetadata(None, (REASONING,))),
        (rf"gpt-4\.1(-mini|-nano)?{_DATE}", ModelMetadata(32_768)),
        (rf"gpt-4o(-mini)?{_DATE}|chatgpt-4o-latest", ModelMetadata(16_384)),
    ),
    "google": (
        *_CLAUDE,
        (
            r"gemini-(2\.5|3(\.\d)?)-(flash|flash-lite|pro)(-preview)?(-\d\d-\d{4})?",
            ModelMetadata(65_536, (REASONING,)),
        ),
        (r"gemini-(4|flash|pro)(?!.*(image|tts|live|embedding)).*", ModelMetadata(None, (REASONING,))),
    ),
    "anthropic": _CLAUDE,
    "x-ai": ((r"grok-(4|build|code)(?!.*non-reasoning).*", ModelMetadata(None, (REASONING,))),),
}
_PATTERNS = {
    provider: tuple((re.compile(pattern), metadata) for pattern, metadata in families)
    for provider, families in _FAMILIES.items()
}


def metadata_of(provider: str, model: str) -> ModelMetadata | None:
    """Return the metadata of a provider's model, or None if nothing is known."""
    return next((metadata for pattern, metadata in _PATTERNS.get(provider, ()) if pattern.fullmatch(model)), None)
