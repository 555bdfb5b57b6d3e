"""The interface of a model provider, independent of its protocol.

Each operation defines the format of its request and response: `chat` uses OpenAI's, for every provider. A provider with
another protocol translates both ways, so that routing, relaying and metering deal with operations only.
"""

from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from tollgate_edge.http.forms import with_field
from tollgate_edge.streaming.stream_usage import StreamUsage

# Names and values of provider-specific headers.
Headers = tuple[tuple[str, str], ...]

JSON = "application/json"
FORM = "multipart/form-data"


class Operation(StrEnum):
    """An operation of a provider. The value is its path below the base URL, in the operation's own protocol."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    COUNT_TOKENS = "messages/count_tokens"
    EMBEDDINGS = "embeddings"
    IMAGES = "images/generations"
    MESSAGES = "messages"
    MODERATIONS = "moderations"
    RERANK = "rerank"
    RESPONSES = "responses"
    SPEECH = "audio/speech"
    TRANSCRIPTIONS = "audio/transcriptions"
    TRANSLATIONS = "audio/translations"


class ProviderRequest(NamedTuple):
    """A request to a provider.

    `body` has the format of the operation and contains the provider's name of `model`. `headers` belong to the
    operation's protocol; a provider with another protocol drops them. `max_output_tokens` is the model's longest
    response by the catalog, for protocols that require a limit; None if the catalog does not know it. `reasons` is the
    catalog's word on whether the model reasons: OpenAI serves those by another API.
    """

    operation: Operation
    model: str
    body: bytes
    content_type: str = JSON
    stream: bool = False
    headers: Headers = ()
    max_output_tokens: int | None = None
    reasons: bool = False

    def with_model(self, model: str) -> "ProviderRequest":
        """Return the request for a provider that has another name for the model."""
        if model == self.model:
            return self
        if self.content_type.lower().startswith(FORM):
            return self._replace(model=model, body=with_field(self.body, self.content_type, "model", model))
        members: dict[str, Any] = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        return self._replace(model=model, body=msgspec.json.encode(members | {"model": model}))


class ProviderResponse(NamedTuple):
    """A complete response with status 200."""

    body: bytes
    content_type: str


class ResponseChunks(Protocol):
    """A streamed response with status 200 whose headers have arrived."""

    content_type: str

    @property
    def usage(self) -> StreamUsage | None:
        """What the provider has stated so far, if its stream is translated. None: it stands in the stream itself."""

    async def read(self) -> bytes | None:
        """Return the next bytes, cut anywhere; None at the end.

        Raises:
            ProviderFailed: the connection broke or timed out.
        """

    async def read_to_end(self) -> None:
        """Read the body to its end, so that the connection can be reused. Never raises."""


class Provider(Protocol):
    """One provider with one of the operator's API keys. It serves concurrent requests.

    The fields `sent`, `upstream_status` and `retry_after_s` of each error decide whether a retry is safe and useful:
    see `errors.ProviderError`.
    """

    @property
    def name(self) -> str: ...

    @property
    def operations(self) -> frozenset[Operation]:
        """The supported operations. Callers request no others."""

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        """Send a request and return the complete response.

        Raises:
            ProviderRefused: the provider responded with an error.
            ProviderFailed: the provider is unreachable, broke the connection, timed out or sent an invalid response.
        """

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        """Send a request and stream the response. Leaving the context early closes the connection.

        Raises:
            ProviderRefused, ProviderFailed: as `complete`, on entering the context.
        """

    async def aclose(self) -> None: ...
