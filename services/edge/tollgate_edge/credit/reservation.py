"""What a request may cost at most, and how much of its answer is paid for: tokens into reservations.

A bound errs upwards. A token of text is a byte of the body at least, so the body's bytes bound the prompt's tokens, but
for images, of which a few bytes may hold the largest, and documents, which have any number of pages and are bounded by
the model's context alone. Every token is reserved at the dearest price that one of its kind has.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from tollgate_common.rating import (
    BASIS_POINTS,
    CLASSES,
    COMPLETION_CLASSES,
    PROMPT_CLASSES,
    TOKENS_PER_PRICE,
    Prices,
    TokenCounts,
)
from tollgate_edge.credit.admission import Admission
from tollgate_edge.credit.leases.state import Payer, Reservation
from tollgate_edge.http.errors import CreditSpent
from tollgate_edge.http.json_body import ChatRequest, unescaped
from tollgate_edge.pricing.catalog import Tariff

# What the dearest known model counts for the largest image: gpt-4o-mini, 2,833 and 5,667 for each of eight tiles.
IMAGE_TOKENS = 48_169
# Of a model whose size the catalogue does not know.
CONTEXT_TOKENS = 128_000
# An answer without a limit gets one only if credit affords less than the model's size; a request rather waits for
# credit than to be content with less than this, unless the account has no more.
ROOMY_TOKENS = 4_096
# Of English text a token has some 4.5 bytes.
BYTES_PER_TOKEN = 4
NO_UNITS = TokenCounts()


class MaxUnitPrices(NamedTuple):
    """Nano-units per million tokens sent and generated, whatever class they turn out to be, and per request."""

    input: int
    output: int
    request_nano: int


def dearest(prices: Prices) -> MaxUnitPrices:
    """Of all tiers: which one a prompt reaches is the provider's count to say."""
    every = (prices, *(tier.prices for tier in prices.tiers))
    return MaxUnitPrices(
        max(price.of(name) for price in every for name in PROMPT_CLASSES),
        max(price.of(name) for price in every for name in COMPLETION_CLASSES),
        max(price.request_nano for price in every),
    )


class CostBound:
    """The tariff's upper bounds."""

    __slots__ = ("_bps", "_fixed", "_prices")

    def __init__(self, tariff: Tariff, units: TokenCounts = NO_UNITS) -> None:
        prices = tariff.price.prices
        self._prices = dearest(prices)
        self._fixed = self._prices.request_nano * TOKENS_PER_PRICE
        if units is not NO_UNITS:
            every = (prices, *(tier.prices for tier in prices.tiers))
            used = {name: number for name in CLASSES if (number := getattr(units, name))}
            self._fixed += sum(number * max(price.of(name) for price in every) for name, number in used.items())
        self._bps = tariff.plan.multiplier_bps

    def nano(self, prompt_tokens: int, output_tokens: int) -> int:
        """What so many tokens cost at most, the units and the request itself."""
        total = prompt_tokens * self._prices.input + output_tokens * self._prices.output
        return _scaled(total + self._fixed, self._bps)

    def output_nano(self, tokens: int) -> int:
        return _scaled(tokens * self._prices.output, self._bps)

    def affordable_tokens(self, nano: int, prompt_tokens: int) -> int:
        """Output tokens that are surely paid for by `nano`, after the prompt."""
        price = self._prices.output * self._bps
        left_nano = nano - self.nano(prompt_tokens, 0)
        return max(0, left_nano * TOKENS_PER_PRICE * BASIS_POINTS // price) if price else CONTEXT_TOKENS


@lru_cache(maxsize=1024)
def _quote_without_units(tariff: Tariff) -> CostBound:
    return CostBound(tariff)


def quote_of(tariff: Tariff, units: TokenCounts) -> CostBound:
    return _quote_without_units(tariff) if units is NO_UNITS else CostBound(tariff, units)


def _scaled(total: int, bps: int) -> int:
    return -(-total * bps // (TOKENS_PER_PRICE * BASIS_POINTS))


class Size(NamedTuple):
    """A request's bounds in tokens, and in units that are none. `limit_tokens` is the client's own, of each choice;
    `context_tokens` the most that the model's answer can have."""

    prompt_tokens: int
    choices: int
    limit_tokens: int | None
    context_tokens: int
    units: TokenCounts = NO_UNITS

    def within(self, max_output_tokens: int | None) -> "Size":
        """The same of a model whose answers have at most so many tokens, if that is known. A client that asks for more
        knows better, or is refused by the provider."""
        if self.limit_tokens is not None or max_output_tokens is None or max_output_tokens >= self.context_tokens:
            return self
        return self._replace(context_tokens=max_output_tokens)

    @property
    def output_tokens(self) -> int:
        """The most that all choices can have together."""
        limit = self.context_tokens if self.limit_tokens is None else min(self.limit_tokens, self.context_tokens)
        return limit * self.choices

    @property
    def likely_tokens(self) -> int:
        """What a rate limit takes before the answer is known, as OpenAI's do: the prompt and the client's own limit."""
        return self.prompt_tokens // BYTES_PER_TOKEN + self.at_most(self.limit_tokens or 0)

    def at_most(self, tokens: int) -> int:
        """Output tokens of all choices, `tokens` each unless they can only have less."""
        return min(tokens * self.choices, self.output_tokens)


def prompt_bound(body: bytes, context_tokens: int | None, *, images: int, has_document: bool) -> int:
    """The most tokens that a prompt can have.

    Args:
        body: of the request; its bytes bound the texts.
        context_tokens: the most that the model can read, None if that is unknown.
        images: how many it has, whether given in full or by their addresses.
        has_document: whether it has one of those whose pages nobody counts here
            (docs/decisions/0026-reserve-the-whole-context-for-documents.md).
    """
    prompt = len(body) + images * IMAGE_TOKENS + (CONTEXT_TOKENS if has_document else 0)
    if context_tokens is None:
        return prompt
    return context_tokens if has_document else min(prompt, context_tokens)


def size_of(body: bytes, chat: ChatRequest, context_tokens: int | None) -> Size:
    names = unescaped(body)
    # It stands in a part twice, as its type and as its member; a quote inside a text would be escaped.
    images = (names.count(b'"image_url"') + 1) // 2
    prompt = prompt_bound(body, context_tokens, images=images, has_document=b'"file_data"' in names)
    return Size(prompt, chat.choices, chat.limit_tokens, context_tokens or CONTEXT_TOKENS)


class OutputReservation:
    """A request's reservation, in tokens. Of a stream it grows with what is delivered.

    Delivered tokens are not counted but estimated, at the cost of two looks at a chunk: one token an event, or one for
    `BYTES_PER_TOKEN` bytes that an event has above the smallest so far. An event that packs several shorter tokens is
    taken for fewer than it has, at worst for a fourth; that, and reasoning that is not shown, is usage beyond the
    reservation.

    Where the estimate goes beyond the client's own limit or the credit, it is counted, for it may be too high; after
    that an event is a token, until the next count.
    """

    __slots__ = (
        "_admission",
        "_delivered",
        "_framing_bytes",
        "_is_counted",
        "_quote",
        "_step_tokens",
        "covered_tokens",
        "reservation",
        "size",
    )

    def __init__(
        self,
        admission: Admission,
        quote: CostBound,
        size: Size,
        reservation: Reservation,
        *,
        covered_tokens: int,
        step_tokens: int,
    ) -> None:
        """Begin with a reservation that covers `covered_tokens` of output and grows by `step_tokens` or more; of none,
        it covers all that there can be."""
        self.reservation = reservation
        self.size = size
        self.covered_tokens = covered_tokens
        self._admission = admission
        self._quote = quote
        self._step_tokens = step_tokens
        self._delivered = 0
        self._framing_bytes = 0
        self._is_counted = False

    @property
    def limit_tokens(self) -> int | None:
        """What each choice of a whole answer must be limited to, if credit bounds it."""
        if self.size.limit_tokens is not None or self.covered_tokens >= self.size.output_tokens:
            return None
        return max(1, self.covered_tokens // self.size.choices)

    def take(self, events: bytes) -> bool:
        """Take events that are about to be handed on. False if what is covered may not reach so far: then `extend`."""
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
        """Whether it reaches as far as the client's own limit, which the provider should keep to."""
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
        if not self.reservation.try_extend(self._quote.output_nano(tokens)):
            return False
        self.covered_tokens += tokens
        return True

    async def extend(self, count: Callable[[], int]) -> None:
        """Have what was taken last paid for: by a whole step or, if that cannot be had, as far as it is needed.

        Args:
            count: tells how many tokens have been delivered, those of the events at hand too.

        Raises:
            ApiError: it cannot be had.
        """
        if self._covers_limit and self._is_covered(count()):
            return
        try:
            await self._extend_by(self._missing_tokens())
        except CreditSpent:
            if not self._is_covered(count()):
                await self._extend_by(self._delivered - self.covered_tokens)

    def _is_covered(self, counted_tokens: int) -> bool:
        """Put a count in the place of the estimate."""
        self._delivered = counted_tokens
        self._is_counted = True
        return counted_tokens <= self.covered_tokens

    async def _extend_by(self, tokens: int) -> None:
        await self._admission.extend(self.reservation, self._quote.output_nano(tokens))
        self.covered_tokens += tokens

    def covered_part(self, events: bytes) -> bytes:
        """Those of the events last taken that are covered."""
        parts = events.split(b"\n\n")[:-1]
        if not parts:
            return b""
        beyond = min(self._delivered - self.covered_tokens, self._delivered)
        taken = self._estimate(len(parts), len(events))
        kept = max(0, len(parts) * (taken - beyond) // taken)
        return b"".join(part + b"\n\n" for part in parts[:kept])


def reserve_nothing(admission: Admission, payer: Payer, tariff: Tariff, size: Size) -> OutputReservation:
    """For a request that is free: whoever has spent all may make it too."""
    quote = quote_of(tariff, size.units)
    return OutputReservation(admission, quote, size, Reservation(payer, None, 0), covered_tokens=0, step_tokens=0)


async def reserve_stream(
    admission: Admission, payer: Payer, tariff: Tariff, size: Size, first_tokens: int
) -> OutputReservation:
    """Reserve the prompt and each choice's first tokens.

    Raises:
        ApiError: 402 or 503.
    """
    quote, tokens = quote_of(tariff, size.units), size.at_most(first_tokens)
    nano = quote.nano(size.prompt_tokens, tokens)
    reservation = await admission.reserve(payer, nano, nano)
    return OutputReservation(
        admission, quote, size, reservation, covered_tokens=tokens, step_tokens=first_tokens * size.choices
    )


async def reserve_whole(
    admission: Admission, payer: Payer, tariff: Tariff, size: Size, least_tokens: int, *, step_tokens: int = 0
) -> OutputReservation:
    """Reserve the prompt and the longest answer; where the client set no limit, as much of it as credit affords. A
    stream that goes beyond it all the same grows by `step_tokens`.

    Raises:
        ApiError: 402 or 503.
    """
    quote = quote_of(tariff, size.units)
    most_nano = quote.nano(size.prompt_tokens, size.output_tokens)
    is_limited = size.limit_tokens is not None
    preferred_nano = most_nano if is_limited else quote.nano(size.prompt_tokens, size.at_most(ROOMY_TOKENS))
    try:
        reservation = await admission.reserve(payer, preferred_nano, most_nano)
    except CreditSpent:
        if is_limited:
            raise
        least_nano = quote.nano(size.prompt_tokens, size.at_most(least_tokens))
        reservation = await admission.reserve(payer, least_nano, preferred_nano)
    covered = size.output_tokens
    if reservation.nano < most_nano:
        covered = min(covered, quote.affordable_tokens(reservation.nano, size.prompt_tokens))
    return OutputReservation(admission, quote, size, reservation, covered_tokens=covered, step_tokens=step_tokens)
