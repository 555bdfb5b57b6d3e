"""`/v1/messages/count_tokens`: Anthropic's token counting, which is free.

Nothing is reserved or charged. The request is recorded like any other.
"""

from collections.abc import Mapping

import msgspec

from tollgate_common.rating import Prices
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.endpoints.messages import MESSAGES
from tollgate_edge.endpoints.validation.metered_features import forwarded_headers
from tollgate_edge.endpoints.validation.references import check_messages
from tollgate_edge.http.json_body import ModelName, decode, required
from tollgate_edge.providers.base import Operation


class _Request(msgspec.Struct):
    model: ModelName | None = None
    messages: list[msgspec.Raw] | None = None


class _ResponseBody(msgspec.Struct):
    input_tokens: int


_request_decoder = msgspec.json.Decoder(_Request)
_response_decoder = msgspec.json.Decoder(_ResponseBody)


class CountTokensRequest(ModelRequest):
    operation = Operation.COUNT_TOKENS
    is_free = True

    def __init__(self, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        check_messages(body, required(request.messages, "messages"))
        self.upstream_body = body
        self.headers = forwarded_headers(headers)

    def required_prices(self, prices: Prices) -> tuple[str, ...]:  # noqa: ARG002 - it is free
        return ()

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - nothing is charged
        return Size(0, 1, 0, 0)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("count of tokens") from error
        return ParsedResponse(None)

    def count_prompt(self) -> int:
        return 0


COUNT_TOKENS = Endpoint("/v1/messages/count_tokens", CountTokensRequest, MESSAGES.error_format)
