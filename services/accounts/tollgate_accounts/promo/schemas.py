"""Promo codes and campaigns over HTTP."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from tollgate_accounts.promo.store import Campaign, Terms
from tollgate_accounts.schemas import AwareTime, Name, Request, UtcTime
from tollgate_common.money import NANO_PER_UNIT, decimal_from_nano

MAX_AMOUNT_NANO = 1_000_000 * NANO_PER_UNIT

PromoCodeText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9_-]{3,40}$"),
    Field(description="case-insensitive", examples=["WELCOME"]),
]


class Redemption(Request):
    code: PromoCodeText


class GrantView(BaseModel):
    grant_id: str
    amount_nano: int = Field(description="1 USD = 1,000,000,000")
    amount: str = Field(examples=["10.00"])
    expires_at: UtcTime | None


AmountNano = Annotated[
    int, Field(strict=True, gt=0, le=MAX_AMOUNT_NANO, description="1 USD = 1,000,000,000", examples=[10_000_000_000])
]


class CampaignRequest(Request):
    name: Name
    amount_nano: AmountNano = Field(description="the credit of one redemption; 1 USD = 1,000,000,000")
    code: PromoCodeText | None = Field(None, description="one code for everybody; omit it to generate single-use codes")
    starts_at: AwareTime | None = None
    ends_at: AwareTime | None = None
    max_redemptions: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="of all codes together"
    )
    max_per_account: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        1, description="how many codes an account may redeem, and a person in all their accounts"
    )
    audience: Literal["all", "new"] = Field(
        "all", description="`new`: accounts that never had credit, of persons who redeemed no code elsewhere"
    )
    credit_expires_after_days: Annotated[int, Field(ge=1, le=36_500)] | None = None

    @field_validator("ends_at")
    @classmethod
    def _lasts(cls, ends_at: datetime | None, info: ValidationInfo) -> datetime | None:
        starts_at = info.data.get("starts_at")
        if starts_at is not None and ends_at is not None and starts_at >= ends_at:
            raise PydanticCustomError("campaign_times", "must be later than starts_at")
        return ends_at

    def terms(self) -> Terms:
        days = self.credit_expires_after_days
        return Terms(
            name=self.name,
            amount_nano=self.amount_nano,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            max_redemptions=self.max_redemptions,
            max_per_account=self.max_per_account,
            audience=self.audience,
            credit_expires_after=timedelta(days=days) if days is not None else None,
        )


class CodesRequest(Request):
    count: Annotated[int, Field(ge=1, le=10_000)]


class CampaignView(BaseModel):
    id: str
    name: str
    amount_nano: int
    amount: str = Field(examples=["10.00"])
    starts_at: UtcTime | None
    ends_at: UtcTime | None
    max_redemptions: int | None
    max_per_account: int
    audience: Literal["all", "new"]
    credit_expires_after_days: int | None
    redemptions: int
    codes: int
    created_at: UtcTime
    stopped_at: UtcTime | None

    @classmethod
    def of(cls, campaign: Campaign) -> Self:
        lasts = campaign.credit_expires_after
        return cls.model_validate(
            campaign._asdict()
            | {
                "amount": decimal_from_nano(campaign.amount_nano),
                "credit_expires_after_days": lasts.days if lasts is not None else None,
            }
        )


class CampaignPage(BaseModel):
    campaigns: list[CampaignView] = Field(description="newest first, including stopped campaigns")
    next_after: str | None = Field(description="`after` of the next page; null on the last")
