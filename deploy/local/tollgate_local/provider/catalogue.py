"""The models on offer, under OpenAI's names."""

from dataclasses import dataclass
from typing import Final

from tollgate_local.provider.errors import ApiError, unknown_model


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    created: int
    context_tokens: int
    reasons: bool = False
    embeds: bool = False

    def listing(self) -> dict[str, str | int]:
        return {"id": self.id, "object": "model", "created": self.created, "owned_by": "system"}


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
        Model("text-embedding-3-small", 1_705_948_997, 8_192, embeds=True),
    )
}


def find_model(name: str) -> Model:
    """The model of that name; `ApiError` 404 when there is none."""
    model = MODELS.get(name)
    if model is None:
        raise unknown_model(name)
    return model


def chat_model(name: str) -> Model:
    model = find_model(name)
    if model.embeds:
        raise ApiError(
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            param="model",
        )
    return model


def embedding_model(name: str) -> Model:
    model = find_model(name)
    if not model.embeds:
        raise ApiError(403, "You are not allowed to generate embeddings from this model")
    return model
