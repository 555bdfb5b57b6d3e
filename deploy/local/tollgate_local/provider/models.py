"""The models of the simulated provider, with their vendors' names."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tollgate_local.provider.errors import ApiError, unknown_model

# Models since gpt-5.6 report cache writes, which cost more than input: platform.openai.com/docs/guides/prompt-caching.
_WRITES_CACHE: Final = re.compile(r"gpt-(5\.[6-9]|[6-9]|\d\d)")


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    created: int
    context_tokens: int
    reasons: bool = False
    embeds: bool = False
    owner: str = "system"
    serves: str = "chat"
    """The endpoint of the model: the last segment of its path."""

    @property
    def states_cache_writes(self) -> bool:
        return _WRITES_CACHE.match(self.id) is not None

    def listing(self) -> dict[str, str | int]:
        return {"id": self.id, "object": "model", "created": self.created, "owned_by": self.owner}


MODELS: Final = {
    model.id: model
    for model in (
        Model("gpt-4o", 1_715_367_049, 128_000),
        Model("gpt-4o-mini", 1_721_172_741, 128_000),
        Model("gpt-4.1", 1_744_316_542, 1_047_576),
        Model("gpt-4.1-mini", 1_744_318_173, 1_047_576),
        Model("gpt-4.1-nano", 1_744_321_025, 1_047_576),
        Model("gpt-5", 1_754_425_777, 400_000, reasons=True),
        Model("gpt-5-mini", 1_754_425_928, 400_000, reasons=True),
        Model("gpt-5-nano", 1_754_426_384, 400_000, reasons=True),
        Model("o3", 1_744_225_308, 200_000, reasons=True),
        Model("o4-mini", 1_744_225_351, 200_000, reasons=True),
        Model("text-embedding-3-small", 1_705_948_997, 8_192, embeds=True, serves="embeddings"),
        Model("gpt-3.5-turbo-instruct", 1_692_901_427, 4_096, serves="completions"),
        Model("gpt-image-1", 1_745_517_030, 65_536, serves="generations"),
        Model("dall-e-3", 1_698_785_189, 4_096, serves="generations"),
        Model("tts-1", 1_681_940_951, 4_096, serves="speech"),
        Model("gpt-4o-mini-tts", 1_742_403_959, 4_096, serves="speech"),
        Model("whisper-1", 1_677_532_384, 4_096, serves="transcriptions"),
        Model("gpt-4o-transcribe", 1_742_068_463, 16_000, serves="transcriptions"),
        Model("omni-moderation-latest", 1_731_689_265, 32_768, serves="moderations"),
        Model("omni-moderation-2024-09-26", 1_732_734_466, 32_768, serves="moderations"),
        Model("rerank-v3.5", 1_733_097_600, 4_096, owner="cohere", serves="rerank"),
        Model("claude-sonnet-5-5", 1_790_640_000, 200_000, owner="anthropic"),
        Model("claude-haiku-5-5", 1_790_640_000, 200_000, owner="anthropic"),
        Model("claude-opus-5-5", 1_790_640_000, 200_000, owner="anthropic"),
        Model("gemini-2.5-pro", 1_750_118_400, 1_048_576, reasons=True, owner="google"),
        Model("gemini-2.5-flash", 1_750_118_400, 1_048_576, reasons=True, owner="google"),
        Model("gemini-2.0-flash", 1_738_713_600, 1_048_576, owner="google"),
    )
}


# Patterns for other model names, with the owner and the endpoint. The first match applies.
FAMILIES: Final = (
    (re.compile(r"text-embedding-"), "system", "embeddings"),
    (re.compile(r"whisper-|gpt-.*transcribe"), "system", "transcriptions"),
    (re.compile(r"tts-|gpt-.*-tts"), "system", "speech"),
    (re.compile(r"(chat)?gpt-image-"), "system", "generations"),
    (re.compile(r"(babbage|davinci)-002|gpt-.*-instruct"), "system", "completions"),
    (re.compile(r"gpt-(\d|audio|rosalind)|o\d|chatgpt-|codex-"), "system", "chat"),
    (re.compile(r"claude-"), "anthropic", "chat"),
    (re.compile(r"gemini-embedding-"), "google", "embeddings"),
    (re.compile(r"gemini-|gemma-"), "google", "chat"),
)
_REASONS: Final = re.compile(r"gpt-([5-9]|\d\d)|o\d|gemini-(2\.5|[3-9])")
_ANY_CREATED, _ANY_CONTEXT_TOKENS = 1_750_000_000, 200_000


def find_known_model(name: str) -> Model | None:
    """Return the model by its name or by its family; None if neither is known."""
    return MODELS.get(name) or _of_family(name)


@lru_cache(maxsize=1_000)
def _of_family(name: str) -> Model | None:
    for pattern, owner, serves in FAMILIES:
        if pattern.match(name):
            is_embedding, reasons = serves == "embeddings", serves == "chat" and _REASONS.match(name) is not None
            return Model(name, _ANY_CREATED, _ANY_CONTEXT_TOKENS, reasons, is_embedding, owner, serves)
    return None


def find_model(name: str) -> Model:
    """Return the model; raise `ApiError` 404 if it is unknown."""
    model = find_known_model(name)
    if model is None:
        raise unknown_model(name)
    return model


def chat_model(name: str) -> Model:
    model = find_model(name)
    if model.serves != "chat":
        raise ApiError(
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            param="model",
        )
    return model


def model_for(kind: str, name: str) -> Model:
    """Return a model of the endpoint `kind`; raise `ApiError` 404 if it has another endpoint."""
    model = find_model(name)
    if model.serves != kind:
        raise ApiError(404, f"This model is not supported in the {kind} endpoint.", param="model")
    return model


def owned_model(owner: str, name: str) -> Model:
    """Return a chat model of the given owner; raise `ApiError` 404 if there is none."""
    model = find_known_model(name)
    if model is None or model.owner != owner or model.serves != "chat":
        raise unknown_model(name)
    return model


def embedding_model(name: str) -> Model:
    model = find_model(name)
    if not model.embeds:
        raise ApiError(403, "You are not allowed to generate embeddings from this model")
    return model
