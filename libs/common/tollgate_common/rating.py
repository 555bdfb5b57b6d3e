"""What usage costs: one pure function, so that every service that asks gets the same amount to the last nano-unit."""

from collections.abc import Iterable
from itertools import compress

import msgspec
from msgspec.structs import astuple

from tollgate_common.money import divide_half_up

TOKENS_PER_PRICE = 1_000_000
BASIS_POINTS = 10_000


class Unpriced(ValueError):
    """Something was used that the price version has no price for. It is never free by accident."""


class TokenCounts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one request used, each token in exactly one class: `input` leaves out cached, written, audio and image
    tokens, `output` leaves out reasoning, audio and image ones.

    The last four are units that are no tokens: images generated, seconds of audio, characters spoken, searches made.
    """

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    cache_write_1h: int = 0
    """Written to a cache that keeps them for an hour instead of minutes."""
    cached_audio_input: int = 0
    cached_image_input: int = 0
    image_output: int = 0
    images: int = 0
    audio_seconds: int = 0
    characters: int = 0
    searches: int = 0

    @property
    def prompt(self) -> int:
        """OpenAI's `prompt_tokens`: everything sent, cached or not."""
        return (
            self.input
            + self.cached_input
            + self.cache_write
            + self.audio_input
            + self.image_input
            + self.cache_write_1h
            + self.cached_audio_input
            + self.cached_image_input
        )

    @property
    def completion(self) -> int:
        """OpenAI's `completion_tokens`: everything generated, shown or not."""
        return self.output + self.reasoning + self.audio_output + self.image_output

    @property
    def total(self) -> int:
        return self.prompt + self.completion


PARENT_CLASS = {
    "input": None,
    "cached_input": "input",
    "cache_write": "input",
    "audio_input": "input",
    "image_input": "input",
    "output": None,
    "reasoning": "output",
    "audio_output": "output",
    "cache_write_1h": "cache_write",
    "cached_audio_input": "cached_input",
    "cached_image_input": "cached_input",
    "image_output": "output",
}
"""Token class → the one whose price it has if it has none of its own."""
TOKEN_CLASSES = tuple(PARENT_CLASS)
COMPLETION_CLASSES = ("output", "reasoning", "audio_output", "image_output")
PROMPT_CLASSES = tuple(name for name in TOKEN_CLASSES if name not in COMPLETION_CLASSES)
UNIT_CLASSES = ("images", "audio_seconds", "characters", "searches")
CLASSES = (*TOKEN_CLASSES, *UNIT_CLASSES)
"""In the order of `TokenCounts`' fields."""
QUANTITY_COLUMNS = {name: f"{name}_tokens" for name in TOKEN_CLASSES} | {name: name for name in UNIT_CLASSES}
"""Class → the column that holds its quantity, in every table that has one."""


class Prices(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Nano-units per million tokens of each class, per million of each unit, and nano-units per request.

    A token class without a price of its own (None) costs what its parent costs, up to `input` for everything sent and
    `output` for everything generated. A unit has no parent: without a price it cannot be charged, and `rate` refuses.
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
    cache_write_1h: int | None = None
    cached_audio_input: int | None = None
    cached_image_input: int | None = None
    image_output: int | None = None
    images: int | None = None
    audio_seconds: int | None = None
    characters: int | None = None
    searches: int | None = None
    tiers: tuple["Tier", ...] = ()
    """What a longer prompt costs instead, lowest bound first."""

    def __post_init__(self) -> None:
        for name in PRICED:
            price = getattr(self, name)
            if price is not None and price < 0:
                raise ValueError(f"the price of {name} is {price}; a price is zero or more")
        above_tokens = 0
        for tier in self.tiers:
            if tier.above_tokens <= above_tokens:
                raise ValueError(f"a tier above {tier.above_tokens} tokens follows {above_tokens}; bounds rise from 1")
            above_tokens = tier.above_tokens
            if tier.prices.tiers:
                raise ValueError(f"the tier above {above_tokens} tokens has tiers itself")
            if [name for name in UNIT_CLASSES if tier.prices.sells([name]) != self.sells([name])]:
                raise ValueError(f"the tier above {above_tokens} tokens prices other units than its version")

    def at(self, prompt_tokens: int) -> tuple[int, "Prices"]:
        """What a prompt of so many tokens costs, all of it, and above how many tokens that begins."""
        for tier in reversed(self.tiers):
            if prompt_tokens > tier.above_tokens:
                return tier.above_tokens, tier.prices
        return 0, self

    def of(self, name: str) -> int:
        """Nano-units per million of a class.

        Raises:
            Unpriced: it is a unit without a price.
        """
        own: int | None = getattr(self, name)
        if own is not None:
            return own
        parent = PARENT_CLASS.get(name)
        if parent is None:
            raise Unpriced(f"{name} have no price")
        return self.of(parent)

    def sells(self, names: Iterable[str]) -> bool:
        """Whether each of some classes has a price. Where only units have one, tokens have none: they would be free by
        accident."""
        sold = {name for name in UNIT_CLASSES if getattr(self, name) is not None}
        if not sold or any(getattr(self, name) for name in TOKEN_CLASSES):
            sold.update(TOKEN_CLASSES)
        return sold.issuperset(names)


class Tier(msgspec.Struct, frozen=True, gc=False):
    """The prices of a request whose prompt has more than `above_tokens`: of all its tokens, not of those beyond."""

    above_tokens: int
    prices: Prices


PRICED = (*CLASSES, "request_nano")
"""The fields of `Prices` that are prices."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """One priced part of a charge: `quantity` tokens or units at `price` nano-units per million of them."""

    token_class: str
    quantity: int
    price: int


class Rated(msgspec.Struct, frozen=True):
    amount_nano: int
    lines: tuple[Line, ...]
    request_nano: int = 0
    tier_above_tokens: int = 0
    """The bound of the tier whose prices these are; 0 is the version's own."""


def rate(tokens: TokenCounts, prices: Prices, multiplier_bps: int = BASIS_POINTS) -> Rated:
    """The charge of one request.

    The prices are those of the tier that the prompt's tokens reach.
    `amount = (Σ quantity × price / 10^6 + price of the request) × multiplier / 10^4`, computed in integers and rounded
    half up once, at the end.

    Args:
        tokens: tokens and units by class, none negative.
        prices: nano-units per million of them, and per request.
        multiplier_bps: the plan's factor in basis points; 10_000 leaves prices as they are.

    Raises:
        Unpriced: a unit was used that has no price.
        ValueError: a count or the multiplier is negative.
    """
    if multiplier_bps < 0:
        raise ValueError(f"a plan's multiplier is {multiplier_bps} basis points; it is zero or more")
    tier_above_tokens, prices = prices.at(tokens.prompt) if prices.tiers else (0, prices)
    # As one tuple: sixteen look-ups by name would be most of the time that a charge takes.
    quantities = astuple(tokens)
    lines = []
    total = prices.request_nano * TOKENS_PER_PRICE
    for name, quantity in compress(zip(CLASSES, quantities, strict=True), quantities):
        if quantity < 0:
            raise ValueError(f"{quantity} of {name}; a count is zero or more")
        price = prices.of(name)
        total += quantity * price
        lines.append(Line(name, quantity, price))
    amount_nano = divide_half_up(total * multiplier_bps, TOKENS_PER_PRICE * BASIS_POINTS)
    return Rated(amount_nano, tuple(lines), prices.request_nano, tier_above_tokens)
