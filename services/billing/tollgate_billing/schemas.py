"""What the APIs take and answer."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_billing.store import StoredCharge, StoredModel, StoredPrice
from tollgate_common.money import decimal_from_nano
from tollgate_common.rating import PRICED, Prices


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Tier(Answer):
    above_tokens: int = Field(description="for prompts of more tokens than this, for all their tokens")
    prices: dict[str, int]


class Price(Answer):
    price_version: str = Field(examples=["gpt-4o@2026-11-23.1"])
    valid_from: datetime = Field(description="it holds from here to the next version's valid_from")
    recorded_at: datetime
    source: str = Field(description="`operator`, or the package and version that it was imported from")
    prices: dict[str, int] = Field(
        description="nano-units per million tokens by class, and per request in `request_nano`; a class that is not "
        "there costs what its parent does: everything sent `input`, everything generated `output`"
    )
    tiers: list[Tier] = Field(description="what a longer prompt costs instead, lowest bound first")
    is_correction: bool = Field(description="what was believed since valid_from, until recorded_at, was wrong")


class PricedModel(Answer):
    model: str
    provider: str
    context_tokens: int | None
    max_output_tokens: int | None
    capabilities: list[str]
    versions: list[Price] = Field(description="oldest first, past and coming ones included")


class PriceList(Answer):
    data: list[PricedModel]


class Line(Answer):
    token_class: str
    quantity: int
    price_nano: int = Field(description="nano-units per million tokens")


class Charge(Answer):
    request_id: str
    at: datetime
    key_id: str
    project_id: str
    endpoint: str
    model: str
    served_model: str
    provider: str
    stream: bool
    end_user: str
    outcome: str
    finish_reason: str
    estimated: bool = Field(description="the provider sent no usage: counted by tokenizer")
    amount_nano: int = Field(
        description="(sum of quantity × price_nano / 10^6 + request_nano) × multiplier_bps / 10^4, rounded half up once"
    )
    amount: str = Field(description="the same, exactly, as a decimal number", examples=["0.001234"])
    lines: list[Line]
    request_nano: int
    multiplier_bps: int
    tier_above_tokens: int = Field(description="the bound of the tier whose prices the lines have; 0 if it has none")
    price_version: str
    plan_version: str


class ChargePage(Answer):
    data: list[Charge]
    next_cursor: str | None = Field(description="pass it as `cursor` for what came before; null at the end")


def named(prices: Prices) -> dict[str, int]:
    """The prices that are set, by class."""
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


def charge(row: StoredCharge) -> Charge:
    lines = zip(row["lines.token_class"], row["lines.quantity"], row["lines.price"], strict=True)
    return Charge.model_validate(
        row
        | {
            "amount": decimal_from_nano(row["amount_nano"]),
            "lines": [Line(token_class=name, quantity=quantity, price_nano=nano) for name, quantity, nano in lines],
        }
    )
