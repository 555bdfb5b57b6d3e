"""The charges API's response bodies."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_billing.charges.store import StoredCharge
from tollgate_common.money import decimal_from_nano


class ResponseBody(BaseModel):
    model_config = ConfigDict(frozen=True)


class Line(ResponseBody):
    token_class: str
    quantity: int
    price_nano: int = Field(description="nano-units per million tokens")


class Charge(ResponseBody):
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
    estimated: bool = Field(description="true if the provider sent no usage, so that a tokenizer counted the tokens")
    amount_nano: int = Field(
        description="(sum of quantity × price_nano / 10^6 + request_nano) × multiplier_bps / 10^4, rounded half up once"
    )
    amount: str = Field(description="the same, exactly, as a decimal number", examples=["0.001234"])
    lines: list[Line]
    request_nano: int
    multiplier_bps: int
    tier_above_tokens: int = Field(description="the bound of the tier whose prices apply; 0 without a tier")
    price_version: str
    plan_version: str


class ChargePage(ResponseBody):
    data: list[Charge]
    next_cursor: str | None = Field(description="pass it as `cursor` to get older charges; null at the end")


def charge(row: StoredCharge) -> Charge:
    lines = zip(row["lines.token_class"], row["lines.quantity"], row["lines.price"], strict=True)
    return Charge.model_validate(
        row
        | {
            "amount": decimal_from_nano(row["amount_nano"]),
            "lines": [Line(token_class=name, quantity=quantity, price_nano=nano) for name, quantity, nano in lines],
        }
    )
