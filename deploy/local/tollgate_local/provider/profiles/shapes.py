"""The parts that several profiles share."""

from typing import Any, Final

from tollgate_local.provider.profiles.profile import Place, Stated, UsageShape

TOTALS: Final[UsageShape] = {"prompt_tokens": "prompt", "completion_tokens": "generated", "total_tokens": "total"}
CACHED: Final[UsageShape] = {"prompt_tokens_details.cached_tokens": "cached"}
REASONING: Final[UsageShape] = {"completion_tokens_details.reasoning_tokens": "thought"}
PREDICTIONS: Final[UsageShape] = {
    "completion_tokens_details.audio_tokens": 0,
    "completion_tokens_details.accepted_prediction_tokens": 0,
    "completion_tokens_details.rejected_prediction_tokens": 0,
}
NO_LOGPROBS: Final[dict[str, Any]] = {"logprobs": None}
CACHED_AND_REASONING: Final = frozenset({Stated.CACHED, Stated.REASONING})
ALWAYS: Final[frozenset[Place]] = frozenset()
AT_FINISH: Final = frozenset({Place.FINISH_CHUNK})
