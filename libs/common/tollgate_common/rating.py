"""What usage costs: one pure function, so that every service that asks gets the same amount to the last nano-unit."""

import msgspec

from tollgate_common.money import divide_half_up

TOKENS_PER_PRICE = 1_000_000
BASIS_POINTS = 10_000


class TokenCounts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Tokens of one request, each in exactly one class: `input` leaves out cached, written, audio and image tokens,
    `output` leaves out reasoning and audio."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0

    @property
    def prompt(self) -> int:
        """OpenAI's `prompt_tokens`: everything sent, cached or not."""
        return self.input + self.cached_input + self.cache_write + self.audio_input + self.image_input

    @property
    def completion(self) -> int:
        """OpenAI's `completion_tokens`: everything generated, shown or not."""
        return self.output + self.reasoning + self.audio_output

    @property
    def total(self) -> int:
        return self.prompt + self.completion


class Prices(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Nano-units per million tokens of each class, and nano-units per request.

    A class without a price of its own (None) costs what its parent costs: everything sent `input`, everything
    generated `output`.
    """

    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None
    request_nano: int = 0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            price = getattr(self, name)
            if price is not None and price < 0:
                raise ValueError(f"the price of {name} is {price}; a price is zero or more")

    def of(self, token_class: str) -> int:
        """Nano-units per million tokens of `token_class`."""
        own: int | None = getattr(self, token_class)
        return own if own is not None else int(getattr(self, PARENT_CLASS[token_class]))


PARENT_CLASS = {
    "input": "input",
    "cached_input": "input",
    "cache_write": "input",
    "audio_input": "input",
    "image_input": "input",
    "output": "output",
    "reasoning": "output",
    "audio_output": "output",
}
TOKEN_CLASSES = tuple(PARENT_CLASS)


class Line(msgspec.Struct, frozen=True, gc=False):
    """One priced part of a charge: `quantity` tokens at `price` nano-units per million of them."""

    token_class: str
    quantity: int
    price: int


class Rated(msgspec.Struct, frozen=True):
    amount_nano: int
    lines: tuple[Line, ...]


def rate(tokens: TokenCounts, prices: Prices, multiplier_bps: int = BASIS_POINTS) -> Rated:
    """The charge of one request.

    `amount = (Σ tokens × price / 10^6 + price of the request) × multiplier / 10^4`, computed in integers and rounded
    half up once, at the end.

    Args:
        tokens: tokens by class, none negative.
        prices: nano-units per million tokens, and per request.
        multiplier_bps: the plan's factor in basis points; 10_000 leaves prices as they are.

    Raises:
        ValueError: a count or the multiplier is negative.
    """
    if multiplier_bps < 0:
        raise ValueError(f"a plan's multiplier is {multiplier_bps} basis points; it is zero or more")
    lines = []
    total = prices.request_nano * TOKENS_PER_PRICE
    for token_class in TOKEN_CLASSES:
        quantity: int = getattr(tokens, token_class)
        if quantity == 0:
            continue
        if quantity < 0:
            raise ValueError(f"{quantity} {token_class} tokens; a count is zero or more")
        price = prices.of(token_class)
        total += quantity * price
        lines.append(Line(token_class, quantity, price))
    return Rated(divide_half_up(total * multiplier_bps, TOKENS_PER_PRICE * BASIS_POINTS), tuple(lines))
