"""The APIs that clients call, as data: where each is, how its requests are read and bounded, how its answers are read.

Whoever admits, reserves, relays and meters knows these shapes alone; a further API is one more of them.
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
from tollgate_edge.usage.token_counting import UNCOUNTABLE


class ParsedResponse(NamedTuple):
    """What a whole answer tells. `tokens` None is nothing to charge; `estimated` ones were counted by the edge."""

    tokens: TokenCounts | None
    estimated: bool = False
    finish_reason: str = ""
    served_model: str = ""


class ResponseStream(Protocol):
    """Takes what the provider sends and tells what may be handed on.

    `done` is true once the answer is complete; its last event, `last_event`, is withheld: it may leave only when
    everything is recorded. `failure` is set when the provider sent an error or what is no answer of this protocol;
    nothing after it counts.
    """

    done: bool
    failure: ProviderFailed | None
    tokens: TokenCounts | None
    finish_reason: str
    served_model: str
    last_event: bytes
    content_type: bytes | None
    """None is the provider's own."""

    @property
    def is_over(self) -> bool: ...

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return the whole events that may be handed on now, perhaps none."""

    def finish(self) -> bytes:
        """The provider has ended its body: return what may still be handed on, and judge whether it was complete."""

    def truncation_event(self, choices: int) -> bytes:
        """The events that end every choice where the answer is cut off, as the provider would word them."""

    def delivered_tokens(self) -> int:
        """Tokens of everything that was handed on, counted by the edge; of an event that cannot be read, none."""


class ModelRequest(ABC):
    """What a client asks of a model: as much of it as the edge must know."""

    operation: Operation
    model: str
    upstream_body: bytes
    stream: bool = False
    end_user: str = ""
    content_type: str = JSON
    headers: Headers = ()
    """Of the client's own, those that go to the provider too."""
    is_free: bool = False
    """Whether nothing is charged, whatever the answer: then nothing is reserved either."""
    reserves_incrementally: bool = True
    """Whether the reservation of a streamed answer may begin with its first tokens; otherwise all of it is reserved."""

    def required_prices(self, prices: Prices) -> tuple[str, ...]:  # noqa: ARG002 - where a model may be sold in one of several
        """The classes that a model must have a price for, so that nothing of this is free by accident."""
        return TEXT_CLASSES

    @abstractmethod
    def size(self, context_tokens: int | None) -> Size:
        """Upper bounds of what it may use, of a model with so large a context."""

    @abstractmethod
    def parse_response(self, body: bytes) -> ParsedResponse:
        """What a whole answer tells.

        Raises:
            ProviderFailed: it is no such answer.
        """

    @abstractmethod
    def count_prompt(self) -> int:
        """Tokens of what was sent, counted by the edge.

        Raises:
            UNCOUNTABLE: it passed through untouched, and cannot be read.
        """

    def prompt_tokens(self) -> int:
        """The same, or what so many bytes of text have."""
        try:
            return self.count_prompt()
        except UNCOUNTABLE:
            return len(self.upstream_body) // BYTES_PER_TOKEN

    def estimate(self, output_tokens: int) -> TokenCounts:
        """What it used if nobody told, with so many tokens handed on."""
        return TokenCounts(input=self.prompt_tokens(), output=output_tokens)

    def limited_body(self, limit_tokens: int) -> bytes:
        """What the provider gets if credit affords so many tokens a choice and the client itself set no limit."""
        raise NotImplementedError(f"an answer to {self.operation} has no limit")

    def open_stream(self) -> ResponseStream:
        """A reader for the answer's stream, if the request asks for one."""
        raise NotImplementedError(f"{self.operation} does not stream")

    def to_provider(self, limit_tokens: int | None) -> ProviderRequest:
        body = self.upstream_body if limit_tokens is None else self.limited_body(limit_tokens)
        return ProviderRequest(self.operation, self.model, body, self.content_type, self.stream, self.headers)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`parse` takes a body and the request's headers; it raises `ApiError` 400 with the parameter that is wrong."""

    path: str
    parse: Callable[[bytes, Mapping[bytes, bytes]], ModelRequest]
    error_format: ErrorFormat = OPENAI_ERROR_FORMAT


def unexpected_response(what: str) -> ProviderFailed:
    return ProviderFailed(HTTPStatus.BAD_GATEWAY, f"The provider's answer is no {what}.")
