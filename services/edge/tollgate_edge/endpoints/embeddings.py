"""`/v1/embeddings`: OpenAI's embeddings."""

from typing import Any

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.http.errors import missing_parameter
from tollgate_edge.http.json_body import ModelName, clean_user, decode, required
from tollgate_edge.providers.base import Operation
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import parse_usage
from tollgate_edge.usage.token_counting import count_input


class _Request(msgspec.Struct):
    model: ModelName | None = None
    input: msgspec.Raw = msgspec.Raw()
    user: str | None = None


class _ResponseBody(msgspec.Struct):
    data: list[msgspec.Raw]
    model: Any = None
    usage: msgspec.Raw = msgspec.Raw()


_request_decoder = msgspec.json.Decoder(_Request)
_response_decoder = msgspec.json.Decoder(_ResponseBody)


class EmbeddingsRequest(ModelRequest):
    operation = Operation.EMBEDDINGS

    def __init__(self, body: bytes) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        if not request.input:
            raise missing_parameter("input")
        self.end_user = clean_user(request.user)
        self.upstream_body = body
        self._input = request.input

    def required_prices(self, prices: Prices) -> tuple[str, ...]:  # noqa: ARG002 - there is one unit
        return ("input",)

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - the context bounds each text, not their sum
        # A token that is given by its id takes at least two bytes: a digit and a comma.
        return Size(len(self.upstream_body), 1, 0, 0)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            response = _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("list of embeddings") from error
        stated = parse_usage(response.usage) if response.usage else NOTHING_STATED
        # There is no output, so the total is the prompt.
        prompt = stated.prompt or stated.total
        return ParsedResponse(
            TokenCounts(input=prompt or self.prompt_tokens()),
            estimated=not prompt,
            served_model=response.model if isinstance(response.model, str) else "",
            is_usage_impossible=stated.is_impossible,
        )

    def count_prompt(self) -> int:
        return count_input(msgspec.json.decode(self._input))


EMBEDDINGS = Endpoint("/v1/embeddings", lambda body, _headers: EmbeddingsRequest(body))
