"""`POST /v1/embeddings`: unit vectors derived from a hash of the text, so that equal texts get equal vectors."""

import base64
import math
import struct
from hashlib import shake_128
from typing import Annotated, Any, Final, Literal

import msgspec

from tollgate_local.provider.decoding import decode
from tollgate_local.provider.errors import invalid_value
from tollgate_local.provider.http_exchange import HttpExchange
from tollgate_local.provider.models import embedding_model
from tollgate_local.provider.tokens import count_tokens

_MAX_DIMENSIONS: Final = 1_536
_MAX_INPUTS: Final = 2_048
_MAX_TOKENS_PER_INPUT: Final = 8_192


TokenId = Annotated[int, msgspec.Meta(ge=0)]


class EmbeddingRequest(msgspec.Struct):
    model: str
    input: str | list[str | TokenId | list[TokenId]]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=_MAX_DIMENSIONS)] | None = None
    encoding_format: Literal["float", "base64"] | None = None

    @property
    def inputs(self) -> list[str | list[int]]:
        """The inputs: texts or lists of token ids. A list of numbers is one input."""
        if isinstance(self.input, str):
            return [self.input]
        numbers = [item for item in self.input if isinstance(item, int)]
        if not numbers:
            return [item for item in self.input if not isinstance(item, int)]
        if len(numbers) < len(self.input):
            raise invalid_value("input", "'input' must be either texts or tokens.")
        return [numbers]


_DECODER: Final = msgspec.json.Decoder(EmbeddingRequest)


async def embed(exchange: HttpExchange) -> None:
    request = decode(_DECODER, await exchange.body())
    model = embedding_model(request.model)
    inputs = request.inputs
    tokens = _checked_tokens(inputs)
    answer = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _embedding(given, request)}
            for index, given in enumerate(inputs)
        ],
        "model": model.id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    await exchange.answer(200, msgspec.json.encode(answer))


def _checked_tokens(inputs: list[str | list[int]]) -> int:
    if not 1 <= len(inputs) <= _MAX_INPUTS:
        raise invalid_value("input", f"'input' must have 1 to {_MAX_INPUTS} items, but has {len(inputs)}.")
    counts = [count_tokens(given) if isinstance(given, str) else len(given) for given in inputs]
    if max(counts) > _MAX_TOKENS_PER_INPUT:
        message = f"An item of 'input' has {max(counts)} tokens; at most {_MAX_TOKENS_PER_INPUT} are allowed."
        raise invalid_value("input", message, "context_length_exceeded")
    return sum(counts)


def _embedding(given: str | list[int], request: EmbeddingRequest) -> Any:
    vector = unit_vector(given if isinstance(given, str) else str(given), request.dimensions or _MAX_DIMENSIONS)
    if request.encoding_format == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return vector


def unit_vector(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1. Different texts get unrelated directions."""
    # Odd numbers, so that no vector is all zeros.
    draws = [2 * draw + 1 for draw in struct.unpack(f"<{dimensions}h", shake_128(text.encode()).digest(2 * dimensions))]
    length = math.sqrt(sum(draw * draw for draw in draws))
    return [draw / length for draw in draws]
