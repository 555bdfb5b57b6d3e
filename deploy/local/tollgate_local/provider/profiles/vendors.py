"""The profiles of vendors that serve their own models with OpenAI's chat completions: see `docs/providers.md`.

The abbreviations of the sources: `ai` is github.com/vercel/ai@ed857f5 (recorded responses), `pydantic-ai` is
github.com/pydantic/pydantic-ai@4fda389 (recorded HTTP exchanges).
"""

from typing import Final

import msgspec

from tollgate_local.provider.profiles import errors
from tollgate_local.provider.profiles.profile import Idle, Json, Place, Profile, Stated
from tollgate_local.provider.profiles.shapes import (
    ALWAYS,
    AT_FINISH,
    CACHED,
    CACHED_AND_REASONING,
    NO_LOGPROBS,
    PREDICTIONS,
    REASONING,
    TOTALS,
)

_encode: Final = msgspec.json.Encoder().encode

_SAFE: Final = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}

OPENAI: Final = Profile(
    name="openai",
    source="platform.openai.com/docs/api-reference/chat-streaming; "
    "ai: packages/openai/src/chat/__fixtures__/openai-text",
    usage=TOTALS
    | CACHED
    | {"prompt_tokens_details.cache_write_tokens": "written", "prompt_tokens_details.audio_tokens": 0}
    | REASONING
    | PREDICTIONS,
    idle_usage=Idle.NULL_IF_ASKED,
    error=errors.OPENAI,
    first_delta={"role": "assistant", "content": "", "refusal": None},
    message={"refusal": None, "annotations": []},
    choice=NO_LOGPROBS,
    chunk={"service_tier": "default", "system_fingerprint": "fp_simulated"},
)

AZURE: Final = Profile(
    name="azure",
    source="ai: packages/openai/src/chat/__fixtures__/azure-model-router.1.chunks.txt; "
    "pydantic-ai: tests/providers/cassettes/test_azure/test_azure_provider_call.yaml",
    usage=TOTALS | CACHED | {"prompt_tokens_details.audio_tokens": 0} | REASONING | PREDICTIONS,
    states=CACHED_AND_REASONING,
    idle_usage=Idle.NULL_IF_ASKED,
    error=errors.AZURE,
    preamble=(
        "data: "
        + _encode(
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}],
            }
        ).decode(),
    ),
    first_delta={"content": "", "refusal": None, "role": "assistant"},
    message={"refusal": None},
    choice=NO_LOGPROBS | {"content_filter_results": _SAFE},
    chunk={"system_fingerprint": None},
    body={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]},
)

GEMINI_COMPATIBLE: Final = Profile(
    name="gemini-openai",
    source="ai.google.dev/gemini-api/docs/openai; github.com/ogx-ai/ogx/issues/5122 (usage in each chunk); "
    "discuss.ai.google.dev/t/127400",
    usage={
        "prompt_tokens": "prompt",
        "completion_tokens": "visible",
        "total_tokens": "total",
        "prompt_tokens_details.cached_tokens": "cached",
    },
    states=CACHED_AND_REASONING,
    places=frozenset({Place.EVERY_CHUNK}),
    error=errors.GEMINI_COMPATIBLE,
    id_prefix="",
    first_delta=None,
    delta={"role": "assistant"},
    last_delta={"role": "assistant"},
    omits_null_finish=True,
    calls_are_whole=True,
)

XAI: Final = Profile(
    name="xai",
    source="docs.x.ai/docs/api-reference; ai: packages/xai/src/__fixtures__/xai-text, convert-xai-chat-usage.ts",
    usage={
        "prompt_tokens": "prompt",
        "completion_tokens": "visible",
        "total_tokens": "total",
        "prompt_tokens_details.text_tokens": "prompt",
        "prompt_tokens_details.audio_tokens": 0,
        "prompt_tokens_details.image_tokens": 0,
        "prompt_tokens_details.cached_tokens": "cached",
    }
    | REASONING
    | PREDICTIONS
    | {"num_sources_used": 0, "cost_in_usd_ticks": 1_466_250},
    states=CACHED_AND_REASONING,
    places_if_asked=ALWAYS,
    error=errors.XAI,
    reasoning_member="reasoning_content",
    id_prefix="",
    first_delta=None,
    message={"refusal": None},
    chunk={"system_fingerprint": "fp_2a885414fb"},
    omits_null_finish=True,
    calls_are_whole=True,
)

MOONSHOT: Final = Profile(
    name="moonshot",
    source="platform.kimi.ai/docs/api/chat; ai: packages/moonshotai/src/moonshotai-chat-api-types.ts, "
    "convert-moonshotai-chat-usage.ts; usage in the choice and once more at the end: measured 2026-08-31",
    usage=TOTALS | {"cached_tokens": "cached"} | REASONING,
    states=CACHED_AND_REASONING,
    places=frozenset({Place.CHOICE, Place.OWN_CHUNK}),
    error=errors.MOONSHOT,
    reasoning_member="reasoning_content",
    chunk={"system_fingerprint": "fpv0_simulated"},
)

DEEPSEEK: Final = Profile(
    name="deepseek",
    source="api-docs.deepseek.com/api/create-chat-completion; "
    "ai: packages/deepseek/src/chat/__fixtures__/deepseek-reasoning",
    usage=TOTALS | CACHED | REASONING | {"prompt_cache_hit_tokens": "cached", "prompt_cache_miss_tokens": "uncached"},
    states=CACHED_AND_REASONING,
    places=AT_FINISH,
    places_if_asked=ALWAYS,
    idle_usage=Idle.NULL,
    error=errors.DEEPSEEK,
    # api-docs.deepseek.com/quick_start/rate_limit: while a request waits.
    preamble=(": keep-alive",),
    reasoning_member="reasoning_content",
    id_prefix="",
    first_delta={"role": "assistant", "content": None, "reasoning_content": ""},
    delta={"content": None, "reasoning_content": None},
    last_delta={"content": "", "reasoning_content": None},
    choice=NO_LOGPROBS,
    chunk={"system_fingerprint": "fp_eaab8d114b_prod0820_fp8_kvcache"},
)

DASHSCOPE: Final = Profile(
    name="dashscope",
    source="help.aliyun.com/model-studio/use-qwen-by-calling-api, .../context-cache; "
    "ai: packages/alibaba/src/__fixtures__/alibaba-reasoning",
    usage=TOTALS
    | CACHED
    | {
        "prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens": "written",
        "prompt_tokens_details.cache_creation_input_tokens": "written",
        "prompt_tokens_details.cache_type": "=ephemeral",
    }
    | REASONING,
    cache_needs_mark=True,
    idle_usage=Idle.NULL,
    error=errors.DASHSCOPE,
    reasoning_member="reasoning_content",
    first_delta={"content": None, "role": "assistant", "reasoning_content": ""},
    delta={"content": None, "reasoning_content": None},
    last_delta={"content": "", "reasoning_content": None},
    choice=NO_LOGPROBS,
    chunk={"system_fingerprint": None},
)

ZHIPU: Final = Profile(
    name="zhipu",
    source="docs.z.ai/api-reference/llm/chat-completion; pydantic-ai: tests/models/cassettes/test_zai/",
    usage=TOTALS | CACHED | REASONING,
    states=CACHED_AND_REASONING,
    places=AT_FINISH,
    places_if_asked=ALWAYS,
    error=errors.ZHIPU,
    reasoning_member="reasoning_content",
    id_prefix="",
    first_delta=None,
    delta={"role": "assistant"},
    last_delta={"role": "assistant", "content": ""},
    omits_null_finish=True,
    body={"request_id": "20260701073925df703dd30a854c37"},
)

_MINIMAX_FLAGS: Final = {
    "input_sensitive": False,
    "output_sensitive": False,
    "input_sensitive_type": 0,
    "output_sensitive_type": 0,
    "output_sensitive_int": 0,
}


def _minimax_details(text: str) -> Json:
    detail = {"type": "reasoning.text", "id": "reasoning-text-1", "format": "MiniMax-response-v1", "index": 0}
    return {"reasoning_details": [detail | {"text": text}]}


MINIMAX: Final = Profile(
    name="minimax",
    source="platform.minimax.io/docs/api-reference/text-post; github.com/MiniMax-AI/MiniMax-M2.5/issues/2; "
    "github.com/GCWing/OpenBitFun/pull/792; github.com/mozilla-ai/any-llm/pull/1249",
    usage=TOTALS | {"total_characters": 0} | CACHED | REASONING,
    states=CACHED_AND_REASONING,
    places=frozenset({Place.WHOLE_RESPONSE}),
    places_if_asked=ALWAYS,
    idle_usage={"total_tokens": 0, "total_characters": 0},
    error=errors.MINIMAX,
    reasoning_member="reasoning_content",
    reasoning_extra=_minimax_details,
    id_prefix="",
    first_delta=None,
    delta={"content": "", "role": "assistant", "name": "MiniMax AI", "audio_content": "", "reasoning_content": ""},
    last_delta={"role": "", "content": "", "name": "MiniMax AI", "audio_content": ""},
    message={"name": "MiniMax AI", "audio_content": ""},
    chunk=_MINIMAX_FLAGS,
    body={"base_resp": {"status_code": 0, "status_msg": ""}},
    omits_null_finish=True,
)

MISTRAL: Final = Profile(
    name="mistral",
    source="docs.mistral.ai/api; ai: packages/mistral/src/__fixtures__/mistral-reasoning; "
    "pydantic-ai: tests/models/cassettes/test_mistral/test_mistral_history_uses_prompt_cache.yaml",
    usage={"prompt_tokens": "prompt", "total_tokens": "total", "completion_tokens": "generated"} | CACHED,
    states=frozenset({Stated.CACHED}),
    places=AT_FINISH,
    places_if_asked=ALWAYS,
    error=errors.MISTRAL,
    content_is_parts=True,
    id_prefix="",
    message={"tool_calls": None},
    last_delta={"content": ""},
    choice=NO_LOGPROBS,
    calls_are_whole=True,
)
