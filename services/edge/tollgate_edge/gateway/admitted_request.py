"""A request that the edge serves, and everything that it holds until it ends.

`AdmittedRequest` is the only owner of the rate limiter's permit, the idempotency claim and the credit reservation.
Other code reports an outcome to `close` and holds nothing. Leaving the `with` block gives back whatever is still held,
so that no path, raised error or cancellation keeps credit, a claim or a place among the requests in flight.
"""

from typing import Self

from tollgate_common.events import Outcome
from tollgate_edge.credit.reservation import OutputReservation
from tollgate_edge.endpoints.base import ModelRequest
from tollgate_edge.event_log.request_events import RequestMeter, RequestOutcome
from tollgate_edge.event_log.writer import Batch
from tollgate_edge.gateway.outcomes import not_stored
from tollgate_edge.idempotency.claims import Claim
from tollgate_edge.providers.base import ProviderRequest
from tollgate_edge.rate_limits.limiter import Permit
from tollgate_edge.routing.retries import Attempts


class AdmittedRequest:
    """Enter with a permit. The claim and the reservation are added as they are obtained.

    The exit is synchronous: a cancellation cannot interrupt it.
    """

    __slots__ = (
        "attempts",
        "claim",
        "is_closed",
        "is_usage_impossible",
        "meter",
        "permit",
        "request",
        "reservation",
        "upstream",
    )

    request: ModelRequest
    """As the client meant it."""
    upstream: ProviderRequest
    """As the provider gets it."""
    attempts: Attempts
    meter: RequestMeter

    def __init__(self, permit: Permit) -> None:
        self.permit = permit
        self.claim: Claim | None = None
        self.reservation: OutputReservation | None = None
        self.is_closed = False
        self.is_usage_impossible = False

    def start(self, request: ModelRequest, upstream: ProviderRequest, attempts: Attempts, meter: RequestMeter) -> None:
        """Everything is there to serve the request. From here on it must be closed."""
        assert self.reservation is not None
        self.request, self.upstream, self.attempts, self.meter = request, upstream, attempts, meter

    async def close(self, outcome: RequestOutcome, rest: bytes) -> Batch:
        """Record how the request ended and settle what it cost. Only the first call may be made.

        With an idempotency key, a response that is charged is stored first, and only what is stored is charged. A
        stream that its client left before it began has no response to repeat. It is charged as without the header,
        because the provider has processed its prompt, and its claim is released.

        Wait for the batch before the response's last byte leaves. What was recorded is sent even if nobody waits for
        it.

        Args:
            outcome: how the request ended.
            rest: what the client has yet to be sent.
        """
        if self.claim is not None and outcome.tokens is not None:
            is_repeatable = outcome.outcome is not Outcome.CANCELLED or bool(rest) or self.claim.has_begun
            if is_repeatable and not await self.claim.keep(rest):
                outcome = not_stored(outcome)
        assert not self.is_closed
        self.is_closed = True
        self.is_usage_impossible = outcome.is_usage_impossible
        reservation = self.reservation.reservation if self.reservation is not None else None
        amount_nano, batch = self.meter.close(outcome, None if reservation is None else reservation.lease_id)
        if reservation is not None:
            reservation.settle(amount_nano)
        self.permit.settle_tokens(0 if outcome.tokens is None else outcome.tokens.total)
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.reservation is not None:
            # A request that was closed has settled already; this settles one that could not be recorded.
            self.reservation.reservation.settle(0)
        if self.claim is not None:
            self.claim.release()
        self.permit.release()
