"""What the edge asks of a model provider, whatever protocol that speaks.

A request is worded in the protocol of its operation, and so is the answer: `chat` is OpenAI's, for every provider. One
that speaks another protocol translates both ways, so that whoever routes, relays and meters knows operations alone.
"""

from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from tollgate_edge.http.forms import with_field

# Names and values of a provider's own headers.
Headers = tuple[tuple[str, str], ...]

JSON = "application/json"
FORM = "multipart/form-data"


class Operation(StrEnum):
    """What can be asked of a provider. The value is its path below the base URL of a provider of that protocol."""

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
    """`body` is worded in the operation's protocol and names `model` as this provider does. `headers` are of that
    protocol too: whoever speaks another leaves them out."""

    operation: Operation
    model: str
    body: bytes
    content_type: str = JSON
    stream: bool = False
    headers: Headers = ()

    def naming(self, model: str) -> "ProviderRequest":
        """The same for a provider that calls the model by another name."""
        if model == self.model:
            return self
        if self.content_type.lower().startswith(FORM):
            return self._replace(model=model, body=with_field(self.body, self.content_type, "model", model))
        members: dict[str, Any] = msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])
        return self._replace(model=model, body=msgspec.json.encode(members | {"model": model}))


class ProviderResponse(NamedTuple):
    """A whole answer, of status 200."""

    body: bytes
    content_type: str


class ResponseChunks(Protocol):
    """A streamed answer of status 200 that has begun."""

    content_type: str

    async def read(self) -> bytes | None:
        """The next bytes as they arrive, cut anywhere; None at the end.

        Raises:
            ProviderFailed: the connection broke or fell silent.
        """

    async def read_to_end(self) -> None:
        """Read what follows an answer's last event, so that the connection can be used again. Never raises."""


class Provider(Protocol):
    """One provider with one of the operator's keys. Several requests may be under way at once.

    Every error tells in its `sent`, `upstream_status` and `retry_after_s` whether another attempt is safe and sensible:
    see `errors.ProviderError`.
    """

    @property
    def name(self) -> str: ...

    @property
    def operations(self) -> frozenset[Operation]:
        """What it can be asked for; any other operation is refused before it gets here."""

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        """A whole answer.

        Raises:
            ProviderRefused: it answered with an error.
            ProviderFailed: it could not be reached, broke off, fell silent or sent what is no answer.
        """

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        """A streamed answer; leaving the context drops it and closes its connection.

        Raises:
            ProviderRefused, ProviderFailed: as `complete`, on entering.
        """

    async def aclose(self) -> None: ...
