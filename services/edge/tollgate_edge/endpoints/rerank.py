"""`/v1/rerank`, as Cohere has it (docs.cohere.com/reference/rerank) and others after it: paid by the search, or by the
token where a model has no price for searches."""

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.http.errors import missing_parameter
from tollgate_edge.http.json_body import ModelName, decode, required
from tollgate_edge.providers.base import Operation
from tollgate_edge.usage.parsers import MAX_TOKENS
from tollgate_edge.usage.token_counting import count_input

# A search ranks up to a hundred documents; one of more than 500 tokens with its query is several documents.
DOCUMENTS_A_SEARCH = 100
TOKENS_A_DOCUMENT = 500


class _Request(msgspec.Struct):
    model: ModelName | None = None
    query: msgspec.Raw = msgspec.Raw()
    documents: list[msgspec.Raw] | None = None


class _BilledUnits(msgspec.Struct):
    search_units: float | None = None


class _Meta(msgspec.Struct):
    billed_units: _BilledUnits | None = None


class _Usage(msgspec.Struct):
    total_tokens: int | None = None


class _ResponseBody(msgspec.Struct):
    results: list[msgspec.Raw]
    model: str | None = None
    meta: _Meta | None = None
    usage: _Usage | None = None


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

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - each document may be as long
        if self._by_search:
            return Size(0, 1, 0, 0, TokenCounts(searches=self._most_searches()))
        # The query is read with every document.
        return Size(len(self.upstream_body) + len(self._query) * len(self._documents), 1, 0, 0)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            answer = _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("ranking") from error
        told = _told_searches(answer) if self._by_search else _told_tokens(answer)
        is_told = told is not None and 0 <= told <= MAX_TOKENS
        if self._by_search:
            searches = told if told is not None and is_told else -(-len(self._documents) // DOCUMENTS_A_SEARCH)
            tokens = TokenCounts(searches=searches)
        else:
            tokens = TokenCounts(input=told if told is not None and is_told else self.prompt_tokens())
        return ParsedResponse(tokens, estimated=not is_told, served_model=answer.model or "")

    def count_prompt(self) -> int:
        query = count_input(msgspec.json.decode(self._query))
        return sum(query + count_input(msgspec.json.decode(document)) for document in self._documents)

    def _most_searches(self) -> int:
        """A token is a byte at least."""
        room = TOKENS_A_DOCUMENT - min(len(self._query), TOKENS_A_DOCUMENT // 2)
        documents = sum(1 + len(document) // room for document in self._documents)
        return -(-documents // DOCUMENTS_A_SEARCH)


def _told_searches(answer: _ResponseBody) -> int | None:
    units = answer.meta.billed_units.search_units if answer.meta and answer.meta.billed_units else None
    return -int(-units // 1) if units is not None and 0 <= units <= MAX_TOKENS else None


def _told_tokens(answer: _ResponseBody) -> int | None:
    return answer.usage.total_tokens if answer.usage is not None else None


RERANK = Endpoint("/v1/rerank", lambda body, _headers: RerankRequest(body))
