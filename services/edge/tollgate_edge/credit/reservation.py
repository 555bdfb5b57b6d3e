"""A request's reservation of credit, in tokens: made before the call, extended while the response streams."""

from collections.abc import Callable

from tollgate_edge.credit.admission import Admission
from tollgate_edge.credit.cost_bounds import BYTES_PER_TOKEN, CostBound, Size, cost_bound
from tollgate_edge.credit.leases.state import Payer, Reservation
from tollgate_edge.http.errors import CreditSpent
from tollgate_edge.pricing.catalog import Tariff

# A response without a client's limit is limited only if credit covers less than the model's longest response. A request
# waits for credit rather than accept less than this, unless the account has no more.
PREFERRED_TOKENS = 4_096
# No provider's event has more bytes beside its text, so that a first event with a whole response is not taken for one
# without text.
_MAX_FRAMING_BYTES = 1_024


class OutputReservation:
    """A request's reservation, in tokens. A stream's reservation grows with what is delivered.

    Delivered tokens are estimated, not counted, which costs two looks at a chunk: one token an event, or one for every
    `BYTES_PER_TOKEN` bytes that an event has above the smallest so far. An event that packs several shorter tokens is
    underestimated, at worst by a factor of four. That difference, and reasoning that is neither shown nor stated, is
    usage beyond the reservation.

    Where the estimate exceeds the client's own limit or the credit, the tokens are counted, because the estimate may be
    too high. After that a token has as many bytes as the count has shown, until the next count.
    """

    __slots__ = (
        "_admission",
        "_bound",
        "_bytes_per_token",
        "_counted_tokens",
        "_delivered",
        "_framing_bytes",
        "_step_tokens",
        "_uncounted_bytes",
        "covered_tokens",
        "reservation",
        "size",
    )

    def __init__(
        self,
        admission: Admission,
        bound: CostBound,
        size: Size,
        reservation: Reservation,
        *,
        covered_tokens: int,
        step_tokens: int,
    ) -> None:
        """Start with a reservation that covers `covered_tokens` of output and grows by at least `step_tokens`.

        With a step of zero it covers the longest response and never grows.
        """
        self.reservation = reservation
        self.size = size
        self.covered_tokens = covered_tokens
        self._admission = admission
        self._bound = bound
        self._step_tokens = step_tokens
        self._delivered = 0
        self._framing_bytes = 0
        self._bytes_per_token = BYTES_PER_TOKEN
        self._counted_tokens = 0
        # Above the framing, since the last count.
        self._uncounted_bytes = 0

    @property
    def limit_tokens(self) -> int | None:
        """The limit that each choice of a whole response must get, if credit bounds it."""
        if self.size.limit_tokens is not None or self.covered_tokens >= self.size.output_tokens:
            return None
        return max(1, self.covered_tokens // self.size.choices)

    def take(self, events: bytes, stated_tokens: int = 0) -> bool:
        """Add events that are about to be sent. Return False if they may not be covered: then call `extend`.

        Args:
            events: the events.
            stated_tokens: the output that the provider has stated so far, which the events may not show.
        """
        number = events.count(b"\n\n")
        if not number or not self._step_tokens:
            return True
        smallest = len(events) // number
        if not self._framing_bytes:
            first = smallest if number == 1 else min(len(event) + 2 for event in events.split(b"\n\n")[:-1])
            self._framing_bytes = min(first, _MAX_FRAMING_BYTES)
        elif smallest < self._framing_bytes:
            self._framing_bytes = smallest
        self._uncounted_bytes += len(events) - number * self._framing_bytes
        self._delivered = max(self._delivered + self._estimate(number, len(events)), stated_tokens)
        return self._delivered <= self.covered_tokens or (not self._covers_limit and self._try_extend())

    @property
    def _covers_limit(self) -> bool:
        """Whether it covers the client's own limit, which the provider should respect."""
        return self.size.limit_tokens is not None and self.covered_tokens >= self.size.output_tokens

    def _estimate(self, number: int, length: int) -> int:
        return max(number, (length - number * self._framing_bytes) // self._bytes_per_token)

    def _missing_tokens(self) -> int:
        missing = max(self._step_tokens, self._delivered - self.covered_tokens)
        if self.size.limit_tokens is None or self._covers_limit:
            return missing
        return min(missing, self.size.output_tokens - self.covered_tokens)

    def _try_extend(self) -> bool:
        tokens = self._missing_tokens()
        if not self.reservation.try_extend(self._bound.output_nano(tokens)):
            return False
        self.covered_tokens += tokens
        return self._delivered <= self.covered_tokens

    async def extend(self, count: Callable[[], int]) -> None:
        """Reserve credit for the events last taken: a whole step, or only what is needed if there is no more credit.

        Args:
            count: counts the delivered tokens, including those of the events at hand.

        Raises:
            ApiError: 402 or 503; the credit cannot be reserved.
        """
        if not self._covers_limit:
            await self._extend_by_step(count)
        # A step ends at the client's limit.
        if self._delivered > self.covered_tokens and not self.covers(count()):
            await self._extend_by_step(count)

    async def _extend_by_step(self, count: Callable[[], int]) -> None:
        try:
            await self._extend_by(self._missing_tokens())
        except CreditSpent:
            if not self.covers(count()):
                await self._extend_by(self._delivered - self.covered_tokens)

    def covers(self, counted_tokens: int) -> bool:
        """Replace the estimate by a count, and return whether it is covered."""
        if self._uncounted_bytes:
            tokens = max(1, counted_tokens - self._counted_tokens)
            self._bytes_per_token = max(BYTES_PER_TOKEN, self._uncounted_bytes // tokens)
            self._counted_tokens = counted_tokens
            self._uncounted_bytes = 0
        self._delivered = counted_tokens
        return counted_tokens <= self.covered_tokens

    async def _extend_by(self, tokens: int) -> None:
        await self._admission.extend(self.reservation, self._bound.output_nano(tokens))
        self.covered_tokens += tokens

    def covered_part(self, events: bytes) -> bytes:
        """Return those of the events last taken that are covered."""
        parts = events.split(b"\n\n")[:-1]
        if not parts:
            return b""
        beyond = min(self._delivered - self.covered_tokens, self._delivered)
        taken = self._estimate(len(parts), len(events))
        kept = max(0, len(parts) * (taken - beyond) // taken)
        return b"".join(part + b"\n\n" for part in parts[:kept])


def reserve_nothing(admission: Admission, payer: Payer, tariff: Tariff, size: Size) -> OutputReservation:
    """Reserve nothing, for a free request: an account without credit may make it too."""
    bound = cost_bound(tariff, size.units)
    return OutputReservation(admission, bound, size, Reservation(payer, None, 0), covered_tokens=0, step_tokens=0)


async def reserve_stream(
    admission: Admission, payer: Payer, tariff: Tariff, size: Size, first_tokens: int
) -> OutputReservation:
    """Reserve the prompt and each choice's first tokens.

    Raises:
        ApiError: 402 or 503.
    """
    bound, tokens = cost_bound(tariff, size.units), size.at_most(first_tokens)
    nano = bound.nano(size.prompt_tokens, tokens)
    reservation = await admission.reserve(payer, nano, nano)
    return OutputReservation(
        admission, bound, size, reservation, covered_tokens=tokens, step_tokens=first_tokens * size.choices
    )


async def reserve_whole(
    admission: Admission, payer: Payer, tariff: Tariff, size: Size, least_tokens: int, *, step_tokens: int = 0
) -> OutputReservation:
    """Reserve the prompt and the longest response; without a client's limit, as much of it as credit affords.

    A stream that exceeds it all the same grows by `step_tokens`.

    Raises:
        ApiError: 402 or 503.
    """
    bound = cost_bound(tariff, size.units)
    most_nano = bound.nano(size.prompt_tokens, size.output_tokens)
    is_limited = size.limit_tokens is not None
    preferred_nano = most_nano if is_limited else bound.nano(size.prompt_tokens, size.at_most(PREFERRED_TOKENS))
    try:
        reservation = await admission.reserve(payer, preferred_nano, most_nano)
    except CreditSpent:
        if is_limited:
            raise
        least_nano = bound.nano(size.prompt_tokens, size.at_most(least_tokens))
        reservation = await admission.reserve(payer, least_nano, preferred_nano)
    covered = size.output_tokens
    if reservation.nano < most_nano:
        covered = min(covered, bound.affordable_tokens(reservation.nano, size.prompt_tokens))
    return OutputReservation(admission, bound, size, reservation, covered_tokens=covered, step_tokens=step_tokens)
