"""Upper bounds of what a request may cost.

A bound errs upwards. A token of text is at least one byte of the body, so the body's bytes bound the prompt's tokens.
Images and documents are the exceptions: a few bytes may hold the largest image, and a document has any number of pages
and is bounded by the model's context alone. Every token is priced at the highest price of its kind.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from tollgate_common.rating import (
    BASIS_POINTS,
    CLASSES,
    COMPLETION_CLASSES,
    PROMPT_CLASSES,
    TOKENS_PER_PRICE,
    Prices,
    TokenCounts,
)
from tollgate_edge.http.json_body import ChatRequest, unescaped
from tollgate_edge.http.json_members import folded
from tollgate_edge.pricing.catalog import Tariff

# The most that a known model counts for the largest image: gpt-4o-mini, 2,833 and 5,667 for each of eight tiles.
IMAGE_TOKENS = 48_169
# For a model whose context the catalog does not state.
CONTEXT_TOKENS = 128_000
# A token of English text has about 4.5 bytes.
BYTES_PER_TOKEN = 4
NO_UNITS = TokenCounts()
# Kinds of content parts, as JSON: texts, whose bytes bound them, and images, which are counted.
_TEXT_PARTS = frozenset(
    {b'"text"', b'"refusal"', b'"thinking"', b'"redacted_thinking"', b'"reasoning"', b'"input_text"'}
)
_IMAGE_PARTS = frozenset({b'"image_url"'})
# Some servers read a part by its member, whatever its type is.
_MEDIA_MEMBERS = frozenset(
    {"audio_url", "document_url", "file", "image", "image_url", "input_audio", "video", "video_url"}
)
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_parts_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw] | str])


class MaxUnitPrices(NamedTuple):
    """The highest prices: nano-units per million tokens, of any class that is sent or generated, and per request."""

    input: int
    output: int
    request_nano: int


def max_unit_prices(prices: Prices) -> MaxUnitPrices:
    """The highest prices of all tiers, because only the provider's count decides which tier a prompt reaches."""
    every = (prices, *(tier.prices for tier in prices.tiers))
    return MaxUnitPrices(
        max(price.of(name) for price in every for name in PROMPT_CLASSES),
        max(price.of(name) for price in every for name in COMPLETION_CLASSES),
        max(price.request_nano for price in every),
    )


class CostBound:
    """Upper bounds of what a request costs under a tariff."""

    __slots__ = ("_bps", "_fixed", "_prices")

    def __init__(self, tariff: Tariff, units: TokenCounts = NO_UNITS) -> None:
        prices = tariff.price.prices
        self._prices = max_unit_prices(prices)
        self._fixed = self._prices.request_nano * TOKENS_PER_PRICE
        if units is not NO_UNITS:
            every = (prices, *(tier.prices for tier in prices.tiers))
            used = {name: number for name in CLASSES if (number := getattr(units, name))}
            self._fixed += sum(number * max(price.of(name) for price in every) for name, number in used.items())
        self._bps = tariff.plan.multiplier_bps

    def nano(self, prompt_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens cost, with the units and the price of the request itself."""
        total = prompt_tokens * self._prices.input + output_tokens * self._prices.output
        return _scaled(total + self._fixed, self._bps)

    def output_nano(self, tokens: int) -> int:
        return _scaled(tokens * self._prices.output, self._bps)

    def affordable_tokens(self, nano: int, prompt_tokens: int) -> int:
        """Output tokens that `nano` certainly pays for, after the prompt."""
        price = self._prices.output * self._bps
        left_nano = nano - self.nano(prompt_tokens, 0)
        return max(0, left_nano * TOKENS_PER_PRICE * BASIS_POINTS // price) if price else CONTEXT_TOKENS


@lru_cache(maxsize=1024)
def _bound_without_units(tariff: Tariff) -> CostBound:
    return CostBound(tariff)


def cost_bound(tariff: Tariff, units: TokenCounts) -> CostBound:
    return _bound_without_units(tariff) if units is NO_UNITS else CostBound(tariff, units)


def _scaled(total: int, bps: int) -> int:
    return -(-total * bps // (TOKENS_PER_PRICE * BASIS_POINTS))


class Size(NamedTuple):
    """Upper bounds of a request in tokens, and in units that are not tokens.

    `limit_tokens` is the client's own limit for each choice; `context_tokens` is the model's longest response.
    """

    prompt_tokens: int
    choices: int
    limit_tokens: int | None
    context_tokens: int
    units: TokenCounts = NO_UNITS

    def within(self, max_output_tokens: int | None) -> "Size":
        """Bound it by the model's longest response, if that is known.

        A client that asks for more knows better, or the provider rejects the request.
        """
        if self.limit_tokens is not None or max_output_tokens is None or max_output_tokens >= self.context_tokens:
            return self
        return self._replace(context_tokens=max_output_tokens)

    @property
    def output_tokens(self) -> int:
        """The most output tokens of all choices together."""
        limit = self.context_tokens if self.limit_tokens is None else min(self.limit_tokens, self.context_tokens)
        return limit * self.choices

    @property
    def likely_tokens(self) -> int:
        """The tokens that a rate limit takes before the response is known, as OpenAI's do: prompt and limit."""
        return self.prompt_tokens // BYTES_PER_TOKEN + self.at_most(self.limit_tokens or 0)

    def at_most(self, tokens: int) -> int:
        """Output tokens of all choices, each with `tokens` or the most that it can have."""
        return min(tokens * self.choices, self.output_tokens)


def prompt_bound(body: bytes, context_tokens: int | None, *, images: int, has_document: bool) -> int:
    """Return the most tokens that a prompt can have.

    Args:
        body: the request's body; its bytes bound the texts.
        context_tokens: the most that the model can read; None if that is unknown.
        images: how many images it has, inline or by URL.
        has_document: whether it has a document, whose pages the edge does not count
            (docs/decisions/0026-reserve-the-whole-context-for-documents.md).
    """
    prompt = len(body) + images * IMAGE_TOKENS + (CONTEXT_TOKENS if has_document else 0)
    if context_tokens is None:
        return prompt
    return context_tokens if has_document else min(prompt, context_tokens)


# A content that is a list of parts, where names are in lower case and without escapes.
_PARTS = re.compile(rb'content"\s*:\s*\[')


def _has_unbounded_part(messages: Iterable[msgspec.Raw]) -> bool:
    """Whether any message has a part whose tokens its bytes do not bound, such as a video or an unknown kind."""
    for raw in messages:
        try:
            message = _object_decoder.decode(raw)
        except msgspec.DecodeError:
            return True
        for name, value in message.items():
            if folded(name) == "content" and bytes(value).startswith(b"["):
                try:
                    parts = _parts_decoder.decode(value)
                except msgspec.DecodeError:
                    return True
                if not all(map(_is_bounded, parts)):
                    return True
    return False


def _is_bounded(part: dict[str, msgspec.Raw] | str) -> bool:
    if isinstance(part, str):
        return True
    kind = unescaped(bytes(part.get("type", b"")))
    if kind in _IMAGE_PARTS:
        return True
    if kind == b'"input_audio"':
        # DashScope accepts an address as `data`.
        return b"://" not in unescaped(bytes(part.get("input_audio", b""))).replace(b"\\/", b"/")
    return kind in _TEXT_PARTS and not any(folded(name) in _MEDIA_MEMBERS for name in part)


def size_of(body: bytes, chat: ChatRequest, context_tokens: int | None) -> Size:
    names = unescaped(body).lower()
    # It appears twice in a part, as its type and as its member; a quote inside a text would be escaped.
    images = (names.count(b'"image_url"') + 1) // 2
    has_parts = _PARTS.search(names) is not None
    is_unbounded = b'"file_data"' in names or (has_parts and _has_unbounded_part(chat.messages or ()))
    prompt = prompt_bound(body, context_tokens, images=images, has_document=is_unbounded)
    return Size(prompt, chat.choices, chat.limit_tokens, context_tokens or CONTEXT_TOKENS)
