"""Payments over HTTP."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from tollgate_accounts.payments.handlers import MAX_MANUAL_NANO
from tollgate_accounts.payments.store import Payment
from tollgate_accounts.schemas import NO_CONTROL_CHARACTER, Request, UtcTime, reject_control_characters
from tollgate_common.money import CURRENCY, decimal_from_nano

# A reason of one or two characters explains nothing.
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=500),
    AfterValidator(reject_control_characters),
    Field(json_schema_extra={"pattern": NO_CONTROL_CHARACTER}, examples=["bank transfer of 3 November"]),
]
Reference = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~]{1,100}$"),
    Field(description="your own id of the request: repeating it with the same reference has no further effect"),
]
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$"), Field(description="the deployment's currency")]
# Accept whole numbers only: text and floats would need a guess about money.
Nano = Annotated[int, Field(strict=True, description="1 USD = 1,000,000,000", examples=[25_000_000_000])]


class PaymentRequest(Request):
    amount_nano: Annotated[Nano, Field(gt=0, le=MAX_MANUAL_NANO)]
    currency: Currency = CURRENCY


class CreditRequest(Request):
    amount_nano: Annotated[Nano, Field(gt=0, le=MAX_MANUAL_NANO)]
    currency: Currency = CURRENCY
    reason: Reason
    reference: Reference | None = None


class AdjustmentRequest(Request):
    amount_nano: Annotated[Nano, Field(ge=-MAX_MANUAL_NANO, le=MAX_MANUAL_NANO)] = Field(
        description="negative amounts take existing credit first, and the rest from later credit"
    )
    currency: Currency = CURRENCY
    reason: Reason


class AdjustmentView(BaseModel):
    adjustment_id: str
    amount_nano: int
    amount: str


class PaymentView(BaseModel):
    id: str
    method: str = Field(examples=["stripe"])
    state: Literal["pending", "paid", "failed", "expired"]
    currency: str
    amount_nano: int
    amount: str = Field(examples=["25.00"])
    refunded_nano: int
    disputed_nano: int = Field(description="what disputes currently take")
    credited_nano: int = Field(description="the credit currently posted for it")
    reason: str
    created_at: UtcTime
    paid_at: UtcTime | None

    @classmethod
    def of(cls, payment: Payment) -> Self:
        return cls.model_validate(payment._asdict() | {"amount": decimal_from_nano(payment.amount_nano)})


class StartedPaymentView(PaymentView):
    pay_at: str | None = Field(description="where the customer pays; null if nothing is left to pay")

    @classmethod
    def started(cls, payment: Payment, pay_at: str | None) -> Self:
        return cls.model_validate(PaymentView.of(payment).model_dump() | {"pay_at": pay_at})


class PaymentPage(BaseModel):
    payments: list[PaymentView] = Field(description="newest first")
    next_after: str | None = Field(description="`after` of the next page; null on the last")


class OwnPaymentPage(PaymentPage):
    methods: list[str] = Field(description="the available payment methods", examples=[["stripe"]])


class Received(BaseModel):
    received: Literal[True] = True
