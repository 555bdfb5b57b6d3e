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


class OutputReservation:
    """A request's reservation, in tokens. A stream's reservation grows with what is delivered.

    Delivered tokens are estimated, not counted, which costs two looks at a chunk: one token an event, or one for every
    `BYTES_PER_TOKEN` bytes that an event has above the smallest so far. An event that packs several shorter tokens is
    underestimated, at worst by a factor of four. That difference, and reasoning that is not shown, is usage beyond the
    reservation.

    Where the estimate exceeds the client's own limit or the credit, the tokens are counted, because the estimate may be
    too high. After that an event counts as one token, until the next count.
    """

    __slots__ = (
        "_admission",
        "_bound",
        "_delivered",
        "_framing_bytes",
        "_is_counted",
        "_step_tokens",
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
        self._is_counted = False

    @property
    def limit_tokens(self) -> int | None:
        """The limit that each choice of a whole response must get, if credit bounds it."""
        if self.size.limit_tokens is not None or self.covered_tokens >= self.size.output_tokens:
            return None
        return max(1, self.covered_tokens // self.size.choices)

    def take(self, events: bytes) -> bool:
        """Add events that are about to be sent. Return False if they may not be covered: then call `extend`."""
        number = events.count(b"\n\n")
        if not number or not self._step_tokens:
            return True
        smallest = len(events) // number
        if not self._framing_bytes or smallest < self._framing_bytes:
            self._framing_bytes = smallest
        self._delivered += self._estimate(number, len(events))
        return self._delivered <= self.covered_tokens or (not self._covers_limit and self._try_extend())

    @property
    def _covers_limit(self) -> bool:
        """Whether it covers the client's own limit, which the provider should respect."""
        return self.size.limit_tokens is not None and self.covered_tokens >= self.size.output_tokens

    def _estimate(self, number: int, length: int) -> int:
        if self._is_counted:
            return number
        return max(number, (length - number * self._framing_bytes) // BYTES_PER_TOKEN)

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
        return True

    async def extend(self, count: Callable[[], int]) -> None:
        """Reserve credit for the events last taken: a whole step, or only what is needed if there is no more credit.

        Args:
            count: counts the delivered tokens, including those of the events at hand.

        Raises:
            ApiError: 402 or 503; the credit cannot be reserved.
        """
        if self._covers_limit and self._is_covered(count()):
            return
        try:
            await self._extend_by(self._missing_tokens())
        except CreditSpent:
            if not self._is_covered(count()):
                await self._extend_by(self._delivered - self.covered_tokens)

    def _is_covered(self, counted_tokens: int) -> bool:
        """Replace the estimate by a count."""
        self._delivered = counted_tokens
        self._is_counted = True
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
