"""`/v1/rerank`: Cohere's rerank API (docs.cohere.com/reference/rerank), which others have adopted.

It is charged by the search, or by the token if the model has no price for searches.
"""

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.http.errors import missing_parameter
from tollgate_edge.http.json_body import ModelName, decode, required
from tollgate_edge.providers.base import Operation
from tollgate_edge.usage.merging import NOTHING_STATED
from tollgate_edge.usage.parsers import MAX_TOKENS, parse_usage
from tollgate_edge.usage.token_counting import count_input

# A search ranks up to 100 documents. A document longer than 500 tokens, with its query, counts as several.
DOCUMENTS_PER_SEARCH = 100
TOKENS_PER_DOCUMENT = 500


class _Request(msgspec.Struct):
    model: ModelName | None = None
    query: msgspec.Raw = msgspec.Raw()
    documents: list[msgspec.Raw] | None = None


class _BilledUnits(msgspec.Struct):
    search_units: float | None = None


class _Meta(msgspec.Struct):
    billed_units: _BilledUnits | None = None


class _ResponseBody(msgspec.Struct):
    results: list[msgspec.Raw]
    model: str | None = None
    meta: _Meta | None = None
    usage: msgspec.Raw = msgspec.Raw()


_request_decoder = msgspec.json.Decoder(_Request)
_response_decoder = msgspec.json.Decoder(_ResponseBody)


class RerankRequest(ModelRequest):
    operation = Operation.RERANK

    def __init__(self, body: bytes) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        if not request.query:
            raise missing_parameter("query")
        self._query = request.query
        self._documents = required(request.documents, "documents")
        self.upstream_body = body
        self._by_search = False

    def required_prices(self, prices: Prices) -> tuple[str, ...]:
        self._by_search = prices.searches is not None
        return ("searches",) if self._by_search else ("input",)

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - the context bounds each document
        if self._by_search:
            return Size(0, 1, 0, 0, TokenCounts(searches=self._max_searches()))
        # The model reads the query again with every document.
        return Size(len(self.upstream_body) + len(self._query) * len(self._documents), 1, 0, 0)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            response = _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("ranking") from error
        reported = _reported_searches(response) if self._by_search else _reported_tokens(response)
        is_valid = reported is not None and 0 <= reported <= MAX_TOKENS
        if self._by_search:
            searches = reported if reported is not None and is_valid else self._min_searches()
            tokens = TokenCounts(searches=searches)
        else:
            tokens = TokenCounts(input=reported if reported is not None and is_valid else self.prompt_tokens())
        return ParsedResponse(tokens, estimated=not is_valid, served_model=response.model or "")

    def count_prompt(self) -> int:
        query = count_input(msgspec.json.decode(self._query))
        return sum(query + count_input(msgspec.json.decode(document)) for document in self._documents)

    def _min_searches(self) -> int:
        return -(-len(self._documents) // DOCUMENTS_PER_SEARCH)

    def _max_searches(self) -> int:
        """Return an upper bound of the searches: a token has at least one byte."""
        part_tokens = TOKENS_PER_DOCUMENT - min(len(self._query), TOKENS_PER_DOCUMENT // 2)
        documents = sum(1 + len(document) // part_tokens for document in self._documents)
        return -(-documents // DOCUMENTS_PER_SEARCH)


def _reported_searches(response: _ResponseBody) -> int | None:
    units = response.meta.billed_units.search_units if response.meta and response.meta.billed_units else None
    return -int(-units // 1) if units is not None and 0 <= units <= MAX_TOKENS else None


def _reported_tokens(response: _ResponseBody) -> int | None:
    stated = parse_usage(response.usage) if response.usage else NOTHING_STATED
    return stated.total or stated.prompt or None


RERANK = Endpoint("/v1/rerank", lambda body, _headers: RerankRequest(body))
