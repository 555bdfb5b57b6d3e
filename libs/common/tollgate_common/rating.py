"""Rating: one pure function, so that every service computes the same amount, exact to the nano-unit."""

from collections.abc import Iterable
from itertools import compress

import msgspec
from msgspec.structs import astuple

from tollgate_common.money import divide_half_up

TOKENS_PER_PRICE = 1_000_000
BASIS_POINTS = 10_000


class Unpriced(ValueError):
    """Usage of a class that the price version has no price for. Such usage is an error, never free."""


class TokenCounts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Usage of one request by class. Each token counts in exactly one class.

    `input` excludes cached, cache-write, audio and image tokens; `output` excludes reasoning, audio and image tokens.
    The last four classes are units: images generated, seconds of audio, characters of speech, searches.
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
    """Tokens written to a cache that lasts an hour instead of minutes."""
    cached_audio_input: int = 0
    cached_image_input: int = 0
    image_output: int = 0
    images: int = 0
    audio_seconds: int = 0
    characters: int = 0
    searches: int = 0

    @property
    def prompt(self) -> int:
        """OpenAI's `prompt_tokens`: all input tokens, cached or not."""
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
        """OpenAI's `completion_tokens`: all generated tokens, visible or not."""
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
"""Token class → the class whose price applies if it has no price of its own."""
TOKEN_CLASSES = tuple(PARENT_CLASS)
COMPLETION_CLASSES = ("output", "reasoning", "audio_output", "image_output")
PROMPT_CLASSES = tuple(name for name in TOKEN_CLASSES if name not in COMPLETION_CLASSES)
UNIT_CLASSES = ("images", "audio_seconds", "characters", "searches")
CLASSES = (*TOKEN_CLASSES, *UNIT_CLASSES)
"""In the order of `TokenCounts`' fields."""
QUANTITY_COLUMNS = {name: f"{name}_tokens" for name in TOKEN_CLASSES} | {name: name for name in UNIT_CLASSES}
"""Class → the column that holds its quantity, in every table that has one."""


class Prices(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Prices in nano-units: per million tokens of each class, per million of each unit, and per request.

    A token class without a price (None) has the price of its parent class, up to `input` for input tokens and `output`
    for generated tokens. A unit has no parent class: usage of a unit without a price is rejected.
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
    """Prices for longer prompts, lowest bound first."""

    def __post_init__(self) -> None:
        for name in PRICED:
            price = getattr(self, name)
            if price is not None and price < 0:
                raise ValueError(f"the price of {name} is {price}; expected 0 or more")
        above_tokens = 0
        for tier in self.tiers:
            if tier.above_tokens <= above_tokens:
                raise ValueError(
                    f"a tier above {tier.above_tokens} tokens follows {above_tokens}; expected ascending bounds from 1"
                )
            above_tokens = tier.above_tokens
            if tier.prices.tiers:
                raise ValueError(f"the tier above {above_tokens} tokens has tiers of its own; expected none")
            if [name for name in UNIT_CLASSES if tier.prices.sells([name]) != self.sells([name])]:
                raise ValueError(f"the tier above {above_tokens} tokens has prices for other units than its version")

    def at(self, prompt_tokens: int) -> tuple[int, "Prices"]:
        """Return the bound and the prices of the tier for a prompt of this length. Bound 0 is the version itself."""
        for tier in reversed(self.tiers):
            if prompt_tokens > tier.above_tokens:
                return tier.above_tokens, tier.prices
        return 0, self

    def of(self, name: str) -> int:
        """Return the price of a class in nano-units per million.

        Raises:
            Unpriced: the class is a unit without a price.
        """
        own: int | None = getattr(self, name)
        if own is not None:
            return own
        parent = PARENT_CLASS.get(name)
        if parent is None:
            raise Unpriced(f"{name} have no price")
        return self.of(parent)

    def sells(self, names: Iterable[str]) -> bool:
        """Whether each of these classes has a price.

        If only units have prices, token classes have none: their zero prices would make tokens free by accident.
        """
        sold = {name for name in UNIT_CLASSES if getattr(self, name) is not None}
        if not sold or any(getattr(self, name) for name in TOKEN_CLASSES):
            sold.update(TOKEN_CLASSES)
        return sold.issuperset(names)


class Tier(msgspec.Struct, frozen=True, gc=False):
    """Prices of a request whose prompt has more than `above_tokens` tokens. They apply to all its tokens."""

    above_tokens: int
    prices: Prices


PRICED = (*CLASSES, "request_nano")
"""The fields of `Prices` that are prices."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """One part of a charge: `quantity` tokens or units at `price` nano-units per million."""

    token_class: str
    quantity: int
    price: int


class Rated(msgspec.Struct, frozen=True):
    amount_nano: int
    lines: tuple[Line, ...]
    request_nano: int = 0
    tier_above_tokens: int = 0
    """Bound of the tier that applied; 0 is the version itself."""


def rate(tokens: TokenCounts, prices: Prices, multiplier_bps: int = BASIS_POINTS) -> Rated:
    """Compute the charge of one request.

    The number of prompt tokens selects the tier.
    `amount = (Σ quantity × price / 10^6 + price of the request) × multiplier / 10^4`, computed in integers and rounded
    half up once, at the end.

    Args:
        tokens: tokens and units by class, none negative.
        prices: nano-units per million tokens or units, and per request.
        multiplier_bps: the plan's factor in basis points; 10_000 is 1.

    Raises:
        Unpriced: a used unit has no price.
        ValueError: a count or the multiplier is negative.
    """
    if multiplier_bps < 0:
        raise ValueError(f"the plan's multiplier is {multiplier_bps} basis points; expected 0 or more")
    tier_above_tokens, prices = prices.at(tokens.prompt) if prices.tiers else (0, prices)
    # One tuple, because sixteen attribute lookups would take most of the time of a rating.
    quantities = astuple(tokens)
    lines = []
    total = prices.request_nano * TOKENS_PER_PRICE
    for name, quantity in compress(zip(CLASSES, quantities, strict=True), quantities):
        if quantity < 0:
            raise ValueError(f"the count of {name} is {quantity}; expected 0 or more")
        price = prices.of(name)
        total += quantity * price
        lines.append(Line(name, quantity, price))
    amount_nano = divide_half_up(total * multiplier_bps, TOKENS_PER_PRICE * BASIS_POINTS)
    return Rated(amount_nano, tuple(lines), prices.request_nano, tier_above_tokens)
