"""`/v1/embeddings`: OpenAI's embeddings."""

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.http.errors import missing_parameter
from tollgate_edge.http.json_body import ModelName, clean_user, decode, required
from tollgate_edge.providers.base import Operation
from tollgate_edge.usage.parsers import MAX_TOKENS
from tollgate_edge.usage.token_counting import count_input


class _Request(msgspec.Struct):
    model: ModelName | None = None
    input: msgspec.Raw = msgspec.Raw()
    user: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int


class _ResponseBody(msgspec.Struct):
    data: list[msgspec.Raw]
    model: str | None = None
    usage: _Usage | None = None


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
        usage = response.usage
        is_valid = usage is not None and 0 <= usage.prompt_tokens <= MAX_TOKENS
        tokens = usage.prompt_tokens if usage is not None and is_valid else self.prompt_tokens()
        return ParsedResponse(TokenCounts(input=tokens), estimated=not is_valid, served_model=response.model or "")

    def count_prompt(self) -> int:
        return count_input(msgspec.json.decode(self._input))


EMBEDDINGS = Endpoint("/v1/embeddings", lambda body, _headers: EmbeddingsRequest(body))
