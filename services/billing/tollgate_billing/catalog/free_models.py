"""Models that their provider serves free of charge. The bundled data omits them, and edges reject models without a
price."""

from collections.abc import Sequence
from datetime import datetime

from tollgate_billing.catalog.genai_prices import Offer
from tollgate_common.rating import Prices

# https://platform.openai.com/docs/guides/moderation: "The moderation endpoint is free to use."
SOURCE = "OpenAI's moderation guide"
CONTEXT_TOKENS = {"openai": {"omni-moderation-latest": 32_768, "omni-moderation-2024-09-26": 32_768}}


def free_offers(provider_ids: Sequence[str], now: datetime) -> list[Offer]:
    versions = ((now, Prices(input=0, output=0)),)
    return [
        Offer(model, provider_id, context_tokens, versions, SOURCE)
        for provider_id in provider_ids
        for model, context_tokens in CONTEXT_TOKENS.get(provider_id, {}).items()
    ]
