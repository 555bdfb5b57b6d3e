"""The profiles of servers that an operator runs. `docs/providers.md` describes each.

The abbreviations of the sources: `ai` is github.com/vercel/ai@ed857f5 (recorded responses), `pydantic-ai` is
github.com/pydantic/pydantic-ai@4fda389 (recorded HTTP exchanges).
"""

from typing import Final

import msgspec

from tollgate_local.provider.profiles import errors
from tollgate_local.provider.profiles.profile import Idle, Json, Profile, Stated
from tollgate_local.provider.profiles.shapes import (
    CACHED,
    CACHED_AND_REASONING,
    NO_LOGPROBS,
    TOTALS,
)
from tollgate_local.provider.profiles.truth import Counts

_encode: Final = msgspec.json.Encoder().encode

VLLM: Final = Profile(
    name="vllm",
    source="github.com/vllm-project/vllm@d7e5252 vllm/entrypoints/openai/engine/protocol.py; "
    "@002032e vllm/entrypoints/openai/chat_completion/protocol.py, started with --enable-prompt-tokens-details",
    usage={"prompt_tokens": "prompt", "total_tokens": "total", "completion_tokens": "generated"} | CACHED,
    states=frozenset({Stated.CACHED}),
    error=errors.VLLM,
    reasoning_member="reasoning",
    choice=NO_LOGPROBS,
    choice_of_finish=lambda _finish: {"stop_reason": None},
    message={"refusal": None, "annotations": None, "audio": None, "function_call": None},
    body={"prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None},
)

SGLANG: Final = Profile(
    name="sglang",
    source="github.com/sgl-project/sglang@004c82e python/sglang/srt/entrypoints/openai/protocol.py, started with "
    "--enable-cache-report; ai: packages/azure/src/__fixtures__/azure-deepseek-reasoning.1 (served by SGLang)",
    usage={"prompt_tokens": "prompt", "total_tokens": "total", "completion_tokens": "generated"}
    | CACHED
    | {"reasoning_tokens": "thought"},
    states=CACHED_AND_REASONING,
    idle_usage=Idle.NULL,
    error=errors.SGLANG,
    reasoning_member="reasoning_content",
    id_prefix="",
    first_delta={"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None},
    delta={"role": None, "content": None, "reasoning_content": None, "tool_calls": None},
    last_delta={"role": None, "content": None, "reasoning_content": None, "tool_calls": None},
    choice=NO_LOGPROBS | {"matched_stop": None},
    body={"metadata": {"weight_version": "default"}},
)


def _llama_timings(counts: Counts) -> Json:
    timings = {
        "cache_n": counts.cached,
        "prompt_n": counts.uncached,
        "prompt_ms": 37.1,
        "predicted_n": counts.generated,
        "predicted_ms": 661.9,
    }
    return {"timings": timings}


LLAMA_CPP: Final = Profile(
    name="llama.cpp",
    source="github.com/ggml-org/llama.cpp tools/server/server-task.cpp (usage_json_oaicompat, result_timings), "
    "tools/server/server-common.cpp",
    usage={"completion_tokens": "generated", "prompt_tokens": "prompt", "total_tokens": "total"} | CACHED,
    states=frozenset({Stated.CACHED}),
    error=errors.LLAMA_CPP,
    reasoning_member="reasoning_content",
    first_delta={"role": "assistant", "content": None},
    chunk={"system_fingerprint": "b6900-1a2b3c4d"},
    last_body=_llama_timings,
)

OLLAMA: Final = Profile(
    name="ollama",
    source="github.com/ollama/ollama@fb30760 openai/openai.go, middleware/openai.go",
    usage=TOTALS,
    states=frozenset(),
    error=errors.OLLAMA,
    reasoning_member="reasoning",
    first_delta=None,
    chunk={"system_fingerprint": "fp_ollama"},
    calls_are_whole=True,
)
