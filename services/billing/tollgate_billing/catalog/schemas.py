"""Response bodies of the price list."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_billing.catalog.store import StoredModel, StoredPrice
from tollgate_common.rating import PRICED, Prices


class ResponseBody(BaseModel):
    model_config = ConfigDict(frozen=True)


class Tier(ResponseBody):
    above_tokens: int = Field(description="for prompts of more tokens than this, for all their tokens")
    prices: dict[str, int]


class Price(ResponseBody):
    price_version: str = Field(examples=["gpt-4o@2026-11-23.1"])
    valid_from: datetime = Field(description="in force from here to the next version's valid_from")
    recorded_at: datetime
    source: str = Field(description="`operator`, or the package and version that it was imported from")
    prices: dict[str, int] = Field(
        description="nano-units per million tokens by class, and per request in `request_nano`; a class without a "
        "price costs what its parent class costs: everything sent `input`, everything generated `output`"
    )
    tiers: list[Tier] = Field(description="prices of longer prompts, lowest bound first")
    is_correction: bool = Field(
        description="true if it corrects what was recorded before for the time since valid_from"
    )


class PricedModel(ResponseBody):
    model: str
    provider: str
    context_tokens: int | None
    max_output_tokens: int | None
    capabilities: list[str]
    versions: list[Price] = Field(description="oldest first, including past and scheduled ones")


class PriceList(ResponseBody):
    data: list[PricedModel]


def named(prices: Prices) -> dict[str, int]:
    """Return the prices that are set, by class."""
    return {name: nano for name in PRICED if (nano := getattr(prices, name)) is not None}


def tiers(prices: Prices) -> list[Tier]:
    return [Tier(above_tokens=tier.above_tokens, prices=named(tier.prices)) for tier in prices.tiers]


def price(stored: StoredPrice) -> Price:
    return Price(
        price_version=stored.price_version,
        valid_from=stored.valid_from,
        recorded_at=stored.recorded_at,
        source=stored.source,
        prices=named(stored.prices),
        tiers=tiers(stored.prices),
        is_correction=stored.is_correction,
    )


def priced_model(stored: StoredModel) -> PricedModel:
    return PricedModel(
        model=stored.model,
        provider=stored.provider,
        context_tokens=stored.context_tokens,
        max_output_tokens=stored.max_output_tokens,
        capabilities=list(stored.capabilities),
        versions=[price(version) for version in stored.versions],
    )
