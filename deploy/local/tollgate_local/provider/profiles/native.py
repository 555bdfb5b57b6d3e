"""The profiles of Anthropic and Gemini, which have protocols of their own."""

from typing import Final

from tollgate_local.provider.profiles import errors
from tollgate_local.provider.profiles.profile import Place, Profile, Protocol, Stated
from tollgate_local.provider.profiles.truth import Finish

ANTHROPIC: Final = Profile(
    name="anthropic",
    source="docs.anthropic.com/en/api/messages-streaming; ai: packages/anthropic/src/__fixtures__/anthropic-text; "
    "anthropic-sdk-python 2.14 (output_tokens_details)",
    protocol=Protocol.MESSAGES,
    usage={
        "input_tokens": "fresh",
        "cache_creation_input_tokens": "written",
        "cache_read_input_tokens": "cached",
        "cache_creation.ephemeral_5m_input_tokens": "written",
        "cache_creation.ephemeral_1h_input_tokens": 0,
        "output_tokens": "generated",
        "output_tokens_details.thinking_tokens": "thought",
        "service_tier": "=standard",
        "inference_geo": "=not_available",
    },
    cache_needs_mark=True,
    places=frozenset(),
    error=errors.ANTHROPIC,
    reasoning_member="thinking",
    id_prefix="msg_",
    finish_reasons={Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.TOOL_CALLS: "tool_use"},
    done=False,
)

GEMINI: Final = Profile(
    name="gemini",
    source="ai.google.dev/api/generate-content; ai: packages/google/src/__fixtures__/google-reasoning; "
    "pydantic-ai: tests/models/cassettes/test_google/test_google_model_stream.yaml (line ends)",
    protocol=Protocol.GEMINI,
    usage={
        "promptTokenCount": "prompt",
        "cachedContentTokenCount": "cached",
        "candidatesTokenCount": "visible",
        "totalTokenCount": "total",
        "thoughtsTokenCount": "thought",
    },
    states=frozenset({Stated.CACHED, Stated.REASONING}),
    places=frozenset({Place.EVERY_CHUNK}),
    error=errors.GEMINI,
    id_prefix="",
    finish_reasons={Finish.STOP: "STOP", Finish.LENGTH: "MAX_TOKENS", Finish.TOOL_CALLS: "STOP"},
    line_end=b"\r\n",
    done=False,
)
