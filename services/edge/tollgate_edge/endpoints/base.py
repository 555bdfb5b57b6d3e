"""The interface of an API endpoint: how to parse and bound its requests, and how to parse its responses.

Admission, reservation, relaying and metering use only this interface. To add an API, implement it once more.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Protocol

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import BYTES_PER_TOKEN, Size
from tollgate_edge.http.errors import OPENAI_ERROR_FORMAT, ErrorFormat, ProviderFailed
from tollgate_edge.pricing.catalog import TEXT_CLASSES
from tollgate_edge.providers.base import JSON, Headers, Operation, ProviderRequest
from tollgate_edge.streaming.stream_usage import StreamUsage
from tollgate_edge.usage.merging import StatedUsage, settle
from tollgate_edge.usage.token_counting import UNCOUNTABLE


class ParsedResponse(NamedTuple):
    """The metered content of a complete response.

    `tokens` is None if nothing is charged. `estimated` is true if the edge counted the tokens itself.
    """

    tokens: TokenCounts | None
    estimated: bool = False
    finish_reason: str = ""
    served_model: str = ""
    is_usage_impossible: bool = False
    """Whether the provider stated a usage that cannot be true."""


class ResponseStream(Protocol):
    """Parses a streamed response and returns the events to forward.

    `done` is true once the response is complete. Its last event, `last_event`, is withheld, because it may be sent only
    after the usage is recorded. `failure` is set if the provider sends an error or violates its protocol; everything
    after it is ignored.
    """

    done: bool
    failure: ProviderFailed | None
    usage: StreamUsage
    tokens: TokenCounts | None
    """The usage in units other than text tokens, once it is known. It is charged instead of `usage`."""
    finish_reason: str
    served_model: str
    last_event: bytes
    content_type: bytes | None
    """The content type to send; None keeps the provider's."""

    @property
    def is_over(self) -> bool: ...

    def feed(self, chunk: bytes) -> bytes:
        """Parse the next bytes and return the complete events to forward, possibly none."""

    def finish(self) -> bytes:
        """Handle the end of the provider's body: return the remaining events and set `done` or `failure`."""

    def truncation_event(self, choices: int) -> bytes:
        """Return events that end every choice as truncated, in the format of the provider."""

    def delivered_tokens(self) -> int:
        """Count the tokens of all forwarded events. An event that cannot be parsed counts zero."""


class ModelRequest(ABC):
    """A client's request to a model, parsed as far as the edge needs."""

    operation: Operation
    model: str
    upstream_body: bytes
    stream: bool = False
    end_user: str = ""
    content_type: str = JSON
    headers: Headers = ()
    """Headers of the client that are forwarded to the provider."""
    is_free: bool = False
    """Whether the request is never charged. Nothing is reserved for it."""
    reserves_incrementally: bool = True
    """Whether a streamed response is reserved in steps. If false, the whole response is reserved up front."""

    def required_prices(self, prices: Prices) -> tuple[str, ...]:  # noqa: ARG002 - for overrides
        """Return the token classes that the model must have a price for, so that nothing is free by mistake."""
        return TEXT_CLASSES

    @abstractmethod
    def size(self, context_tokens: int | None) -> Size:
        """Return upper bounds of the usage, for a model whose context has `context_tokens` tokens (None if unknown)."""

    @abstractmethod
    def parse_response(self, body: bytes) -> ParsedResponse:
        """Parse a complete response.

        Raises:
            ProviderFailed: the body is not a valid response of this API.
        """

    @abstractmethod
    def count_prompt(self) -> int:
        """Count the tokens of the prompt.

        Raises:
            UNCOUNTABLE: the prompt was forwarded unparsed and has an unexpected shape.
        """

    def prompt_tokens(self) -> int:
        """Count the tokens of the prompt, or estimate them from the body's size if they cannot be counted."""
        try:
            return self.count_prompt()
        except UNCOUNTABLE:
            return len(self.upstream_body) // BYTES_PER_TOKEN

    def estimate(self, output_tokens: int) -> TokenCounts:
        """Return the usage to charge if the provider reports none and `output_tokens` were forwarded."""
        return TokenCounts(input=self.prompt_tokens(), output=output_tokens)

    def settled_response(
        self, stated: StatedUsage, count_output: Callable[[], int], *, finish_reason: str, served_model: str
    ) -> ParsedResponse:
        """Return a complete response with the usage to charge: what is stated, and a count of the rest."""
        settled = settle(stated, count_output=count_output, estimate=self.estimate, is_final=True)
        return ParsedResponse(settled.tokens, settled.is_estimated, finish_reason, served_model, settled.is_impossible)

    def limited_body(self, limit_tokens: int) -> bytes:
        """Return the upstream body with a limit of `limit_tokens` for each choice, where the client set none."""
        raise NotImplementedError(f"{self.operation} has no output limit")

    def open_stream(self) -> ResponseStream:
        """Create the parser of the streamed response."""
        raise NotImplementedError(f"{self.operation} does not stream")

    def to_provider(self, limit_tokens: int | None) -> ProviderRequest:
        body = self.upstream_body if limit_tokens is None else self.limited_body(limit_tokens)
        return ProviderRequest(self.operation, self.model, body, self.content_type, self.stream, self.headers)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An API at a path.

    `parse` takes the body and headers of a request. It raises `ApiError` 400 that names an invalid parameter.
    """

    path: str
    parse: Callable[[bytes, Mapping[bytes, bytes]], ModelRequest]
    error_format: ErrorFormat = OPENAI_ERROR_FORMAT


def unexpected_response(expected: str) -> ProviderFailed:
    return ProviderFailed(HTTPStatus.BAD_GATEWAY, f"The provider's response is not a valid {expected}.")
