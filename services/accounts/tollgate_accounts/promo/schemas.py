"""Promo codes over HTTP."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from tollgate_accounts.schemas import Request, UtcTime

PromoCodeText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9_-]{3,40}$"),
    Field(description="capitals and small letters are the same", examples=["WELCOME"]),
]


class Redemption(Request):
    code: PromoCodeText


class GrantView(BaseModel):
    grant_id: str
    amount_nano: int = Field(description="1 USD = 1,000,000,000")
    amount: str = Field(examples=["10.00"])
    expires_at: UtcTime | None
