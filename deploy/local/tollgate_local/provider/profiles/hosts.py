"""The profiles of hosts that serve the models of others. `docs/providers.md` describes each.

The abbreviations of the sources: `ai` is github.com/vercel/ai@ed857f5 (recorded responses), `pydantic-ai` is
github.com/pydantic/pydantic-ai@4fda389 (recorded HTTP exchanges).
"""

from typing import Any, Final

import msgspec

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.profiles import errors
from tollgate_local.provider.profiles.profile import Idle, Json, Place, Profile
from tollgate_local.provider.profiles.shapes import (
    ALWAYS,
    AT_FINISH,
    CACHED,
    CACHED_AND_REASONING,
    NO_LOGPROBS,
    REASONING,
    TOTALS,
)
from tollgate_local.provider.profiles.truth import Finish, Truth

_encode: Final = msgspec.json.Encoder().encode


def _groq_stream_error(profile: Profile, error: ApiError, _truth: Truth) -> bytes:
    body: Any = profile.error(error)[1]
    body["error"]["status_code"] = error.status
    return profile.event(_encode(body), "error")


GROQ: Final = Profile(
    name="groq",
    source="github.com/groq/groq-python@9620fde src/groq/types/chat/chat_completion_chunk.py; "
    "ai: packages/groq/src/__fixtures__/groq-reasoning; "
    "pydantic-ai: tests/models/cassettes/test_groq/test_tool_use_failed_error_streaming.yaml",
    usage={
        "queue_time": 0.171721454,
        "prompt_tokens": "prompt",
        "prompt_time": 0.000792801,
        "completion_tokens": "generated",
        "completion_time": 3.206170277,
        "total_tokens": "total",
        "total_time": 3.206963078,
    }
    | CACHED
    | REASONING,
    states=CACHED_AND_REASONING,
    places=frozenset({Place.FINISH_CHUNK, Place.X_GROQ}),
    places_if_asked=ALWAYS,
    error=errors.GROQ,
    stream_error=_groq_stream_error,
    reasoning_member="reasoning",
    first_chunk={"x_groq": {"id": "req_simulated", "seed": 872_656_815}},
    choice=NO_LOGPROBS,
    chunk={"system_fingerprint": "fp_78ac7f3229"},
)
GROQ_X: Final = Profile(
    name="groq-x",
    source="pydantic-ai: tests/models/cassettes/test_groq/test_groq_model_thinking_part_iter.yaml (September 2025)",
    usage=GROQ.usage,
    states=CACHED_AND_REASONING,
    places=frozenset({Place.X_GROQ}),
    places_if_asked=ALWAYS,
    error=errors.GROQ,
    stream_error=_groq_stream_error,
    reasoning_member="reasoning",
    first_chunk=GROQ.first_chunk,
    choice=NO_LOGPROBS,
    chunk=GROQ.chunk,
)

TOGETHER: Final = Profile(
    name="together",
    source="docs.together.ai/reference/chat-completions-1; "
    "github.com/togethercomputer/together-python@eba5e5f src/together/types/common.py",
    usage=TOTALS,
    states=frozenset(),
    places=AT_FINISH,
    places_if_asked=ALWAYS,
    idle_usage=Idle.NULL,
    error=errors.TOGETHER,
    reasoning_member="reasoning",
    id_prefix="",
    first_delta=None,
    delta={"role": "assistant", "content": "", "tool_calls": None},
    last_delta={"token_id": 128_009, "role": "assistant", "content": "", "tool_calls": None},
    choice=NO_LOGPROBS | {"seed": None},
    choice_text=lambda text: {"text": text},
    finish_reasons={Finish.STOP: "eos", Finish.LENGTH: "length", Finish.TOOL_CALLS: "tool_calls"},
)


def _openrouter_details(text: str) -> Json:
    detail = {"type": "reasoning.text", "text": text, "format": "anthropic-claude-v1", "index": 0}
    return {"reasoning_details": [detail]}


def _openrouter_stream_error(profile: Profile, error: ApiError, truth: Truth) -> bytes:
    """Return a chunk with the error, the finish reason and the usage, and `[DONE]`."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    chunk = {
        "id": profile.id_prefix + truth.id,
        "object": "chat.completion.chunk",
        "created": truth.created,
        "model": truth.model,
        **profile.chunk,
        "error": {"code": error.status, "message": str(error)},
        "choices": [choice | {"native_finish_reason": None, "logprobs": None}],
        "usage": profile.stated(truth.counts),
    }
    return profile.event(_encode(chunk)) + profile.event(b"[DONE]")


OPENROUTER: Final = Profile(
    name="openrouter",
    source="openrouter.ai/docs/api-reference/streaming, .../errors, openrouter.ai/docs/use-cases/usage-accounting; "
    "pydantic-ai: tests/models/cassettes/test_openrouter/test_openrouter_streaming_reasoning.yaml, "
    "test_openrouter_stream_error.yaml, tests/models/openrouter/cassettes/test_cache/",
    usage=TOTALS
    | {"cost": 0.000669, "is_byok": False}
    | CACHED
    | {
        "prompt_tokens_details.cache_write_tokens": "written",
        "prompt_tokens_details.audio_tokens": 0,
        "prompt_tokens_details.video_tokens": 0,
        "cost_details.upstream_inference_cost": None,
        "cost_details.upstream_inference_prompt_cost": 0.000129,
        "cost_details.upstream_inference_completions_cost": 0.00054,
    }
    | REASONING
    | {"completion_tokens_details.image_tokens": 0},
    cache_needs_mark=True,
    places=frozenset({Place.OWN_CHUNK_WITH_CHOICE}),
    places_if_asked=ALWAYS,
    error=errors.OPENROUTER,
    stream_error=_openrouter_stream_error,
    preamble=(": OPENROUTER PROCESSING", ": OPENROUTER PROCESSING"),
    reasoning_member="reasoning",
    reasoning_extra=_openrouter_details,
    id_prefix="gen-",
    first_delta={"role": "assistant", "content": "", "reasoning": None, "reasoning_details": []},
    delta={"role": "assistant", "content": "", "reasoning": None, "reasoning_details": []},
    last_delta={"role": "assistant", "content": "", "reasoning": None, "reasoning_details": []},
    message={"refusal": None},
    choice=NO_LOGPROBS | {"native_finish_reason": None},
    choice_of_finish=lambda finish: {"native_finish_reason": finish.value},
    chunk={"provider": "Simulated"},
)
