"""One streamed request, from the reservation to its closing, without a server: the provider's bytes are given."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from edge.purse import PAYER, Purse, tariff
from tollgate_common.events import KeyLimits
from tollgate_common.rating import Prices
from tollgate_edge.credit.reservation import reserve_stream
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.endpoints.base import ModelRequest
from tollgate_edge.event_log.request_events import RequestMeter, RequestOutcome
from tollgate_edge.event_log.writer import Batch
from tollgate_edge.gateway.admitted_request import AdmittedRequest
from tollgate_edge.gateway.relay import relay_stream
from tollgate_edge.http.errors import ApiError, ClientGone, ProviderError
from tollgate_edge.http.request_context import Message, RequestContext
from tollgate_edge.providers.base import ProviderRequest, ResponseChunks
from tollgate_edge.providers.translators.base import EventTranslator, TranslatedChunks
from tollgate_edge.rate_limits.limiter import Permit, RateLimiter
from tollgate_edge.routing.retries import Attempts

CENT = 10_000_000
TARIFF = tariff(Prices(input=2_500_000_000, output=10_000_000_000))
FIRST_TOKENS = 256


class Durable:
    async def durable(self) -> None:
        pass


class Meter:
    """Keeps the outcome, as the real one does its events."""

    def __init__(self) -> None:
        self.ending: RequestOutcome | None = None

    def open(self) -> None:
        pass

    async def opened(self) -> None:
        pass

    def close(self, outcome: RequestOutcome, _lease_id: str | None) -> tuple[int, Batch]:
        self.ending = outcome
        return self.cost_nano, cast("Batch", Durable())

    @property
    def cost_nano(self) -> int:
        assert self.ending is not None, "it was never closed"
        return 0 if self.ending.tokens is None else TARIFF.amount_nano(self.ending.tokens)


class Provider:
    """Sends the given bytes. An error breaks the connection where it stands."""

    content_type = "text/event-stream"
    usage = None

    def __init__(self, events: Sequence[bytes | ProviderError], translators: Sequence[EventTranslator] = ()) -> None:
        self._events = iter(events)
        self._translators = translators

    @asynccontextmanager
    async def stream(self, _request: ProviderRequest) -> AsyncIterator[ResponseChunks]:
        chunks: ResponseChunks = self
        for translator in self._translators:
            chunks = TranslatedChunks(chunks, translator)
        yield chunks

    async def read(self) -> bytes | None:
        await asyncio.sleep(0)
        event = next(self._events, None)
        if isinstance(event, ProviderError):
            raise event
        return event

    async def read_to_end(self) -> None:
        pass


class Result:
    def __init__(self, request: ModelRequest, meter: Meter, received: bytes) -> None:
        self.request = request
        self.meter = meter
        self.received = received

    @property
    def outcome(self) -> RequestOutcome:
        assert self.meter.ending is not None, "it was never closed"
        return self.meter.ending


async def streamed(
    path: str,
    body: bytes,
    events: Sequence[bytes | ProviderError],
    *,
    credit_nano: int = 100 * CENT,
    leaves_after: int | None = None,
    translators: Sequence[EventTranslator] = (),
) -> Result:
    """Run a stream of an account with so much credit. Its client leaves after so many messages of the server."""
    request = ENDPOINTS[path].parse(body, {})
    reservation = await reserve_stream(
        Purse(credit_nano), PAYER, TARIFF, request.size(1_000_000).within(65_536), FIRST_TOKENS
    )
    sent: list[bytes] = []

    async def receive() -> Message:
        while leaves_after is None or len(sent) < leaves_after:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    context = RequestContext({"type": "http", "path": path, "headers": []}, receive, send)
    context.error_format = ENDPOINTS[path].error_format
    meter = Meter()
    provider = cast("Attempts", Provider(events, translators))
    with (
        suppress(ApiError, ClientGone),
        AdmittedRequest(Permit(RateLimiter(max_body_bytes=1), KeyLimits(), None, 1)) as admitted,
    ):
        admitted.reservation = reservation
        admitted.start(request, request.to_provider(None), provider, cast("RequestMeter", meter))
        await relay_stream(context, admitted)
    return Result(request, meter, b"".join(sent))
