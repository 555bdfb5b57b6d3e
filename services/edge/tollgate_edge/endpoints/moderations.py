"""`/v1/moderations`: OpenAI's moderations, charged by the request or free."""

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.http.json_body import ModelName, decode, replaced
from tollgate_edge.providers.base import Operation

# The default in platform.openai.com/docs/api-reference/moderations.
_DEFAULT_MODEL = "omni-moderation-latest"


class _Request(msgspec.Struct):
    model: ModelName | None = None


class _ResponseBody(msgspec.Struct):
    results: list[msgspec.Raw]
    model: str | None = None


_request_decoder = msgspec.json.Decoder(_Request)
_response_decoder = msgspec.json.Decoder(_ResponseBody)


class ModerationRequest(ModelRequest):
    operation = Operation.MODERATIONS

    def __init__(self, body: bytes) -> None:
        model = decode(_request_decoder, body).model
        self.model = model or _DEFAULT_MODEL
        self.upstream_body = body if model else replaced(body, model=self.model)

    def required_prices(self, prices: Prices) -> tuple[str, ...]:  # noqa: ARG002 - only the request has a price, possibly zero
        return ()

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - tokens are free
        return Size(0, 1, 0, 0)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            response = _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("moderation") from error
        return ParsedResponse(TokenCounts(), served_model=response.model or "")

    def count_prompt(self) -> int:
        return 0


MODERATIONS = Endpoint("/v1/moderations", lambda body, _headers: ModerationRequest(body))
