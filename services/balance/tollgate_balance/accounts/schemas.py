"""Response bodies for accounts. Each amount is in nano-units, and as a decimal number in `currency`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from tollgate_balance.accounts.store import Place
from tollgate_balance.ledger.accounts import Account, Kind, LedgerAccount
from tollgate_common.events import BudgetPeriod
from tollgate_common.money import decimal_from_nano

CURRENCY: Literal["USD"] = "USD"
EPOCH = datetime.fromtimestamp(0, UTC)
MICROSECOND = timedelta(microseconds=1)


class Expiring(BaseModel):
    grant_id: str
    expires_at: datetime
    remaining_nano: int
    remaining: str


class Balance(BaseModel):
    """A balance. `available` is the posted credit that no lease holds."""

    account_id: str
    currency: Literal["USD"] = CURRENCY
    posted_nano: int
    held_nano: int
    available_nano: int
    due_nano: int = Field(description="reductions and expired credit that are taken as leases release their holds")
    posted: str
    held: str
    available: str
    due: str
    expires: list[Expiring] = Field(description="the remainders of expiring credit, soonest first")


class Grant(BaseModel):
    """A grant. Grants burn by priority (lower first), then by expiry, then by age. `remaining` has not burned yet."""

    grant_id: str
    source: str = Field(description="promo, payment, manual, or adjustment (credit that was given back)")
    reason: str
    state: Literal["open", "spent", "expired"]
    priority: int
    granted_at: datetime
    expires_at: datetime | None
    amount_nano: int
    remaining_nano: int
    expired_nano: int
    amount: str
    remaining: str
    expired: str


class Grants(BaseModel):
    """A page of grants, newest first; `next_cursor` is null on the last one."""

    account_id: str
    currency: Literal["USD"] = CURRENCY
    grants: list[Grant]
    next_cursor: str | None


class Entry(BaseModel):
    """One posting, from the account's point of view: `amount` is negative if it took credit."""

    id: str
    kind: Kind
    amount_nano: int
    amount: str
    contra_account: str = Field(description="the ledger account on the posting's other side")
    reference: str = Field(description="the request, grant, adjustment or batch of usage that caused it")
    happened_at: datetime
    posted_at: datetime


class Ledger(BaseModel):
    """A page of entries, newest first; `next_cursor` is null on the last one."""

    account_id: str
    currency: Literal["USD"] = CURRENCY
    entries: list[Entry]
    next_cursor: str | None


class BudgetView(BaseModel):
    """A budget in its current UTC period. `left` is neither spent nor held by requests in flight."""

    budget_id: str
    period: BudgetPeriod
    resets_at: datetime | None
    amount_nano: int
    spent_nano: int
    held_nano: int
    left_nano: int
    amount: str
    spent: str
    held: str
    left: str


class Budgets(BaseModel):
    account_id: str
    key_id: str | None
    currency: Literal["USD"] = CURRENCY
    budgets: list[BudgetView]


def balance(account: Account, grants: Sequence[dict[str, Any]]) -> Balance:
    """Render the balance of an account and its open grants."""
    expiring = sorted((grant for grant in grants if grant["expires_at"] is not None), key=lambda one: one["expires_at"])
    due_nano = account.due_nano + account.expiring_nano
    return Balance(
        account_id=account.account_id,
        posted_nano=account.posted_nano,
        held_nano=account.held_nano,
        available_nano=account.available_nano,
        due_nano=due_nano,
        posted=decimal_from_nano(account.posted_nano),
        held=decimal_from_nano(account.held_nano),
        available=decimal_from_nano(account.available_nano),
        due=decimal_from_nano(due_nano),
        expires=[
            Expiring(
                grant_id=grant["grant_id"],
                expires_at=grant["expires_at"],
                remaining_nano=grant["remaining_nano"],
                remaining=decimal_from_nano(grant["remaining_nano"]),
            )
            for grant in expiring
        ],
    )


def grant(*, expired_at: datetime | None, remaining_nano: int, **columns: Any) -> Grant:
    state: Literal["open", "spent", "expired"] = "open" if remaining_nano else "spent"
    return Grant(
        state="expired" if expired_at is not None else state,
        remaining_nano=remaining_nano,
        amount=decimal_from_nano(columns["amount_nano"]),
        remaining=decimal_from_nano(remaining_nano),
        expired=decimal_from_nano(columns["expired_nano"]),
        **columns,
    )


def entry(*, posting_id: int, debit: str, credit: str, amount_nano: int, **columns: Any) -> Entry:
    takes = debit == LedgerAccount.CUSTOMER_CREDIT
    signed_nano = -amount_nano if takes else amount_nano
    return Entry(
        id=str(posting_id),
        amount_nano=signed_nano,
        amount=decimal_from_nano(signed_nano),
        contra_account=credit if takes else debit,
        **columns,
    )


def budget(*, amount_nano: int, spent_nano: int, held_nano: int, **columns: Any) -> BudgetView:
    left_nano = max(0, amount_nano - spent_nano - held_nano)
    return BudgetView(
        amount_nano=amount_nano,
        spent_nano=spent_nano,
        held_nano=held_nano,
        left_nano=left_nano,
        amount=decimal_from_nano(amount_nano),
        spent=decimal_from_nano(spent_nano),
        held=decimal_from_nano(held_nano),
        left=decimal_from_nano(left_nano),
        **columns,
    )


def cursor_of(row: dict[str, Any]) -> str:
    """Encode the place of a posting as a cursor."""
    return f"{(row['posted_at'] - EPOCH) // MICROSECOND}-{row['posting_id']}"


def place_of(cursor: str) -> Place:
    microseconds, posting_id = cursor.split("-")
    return Place(EPOCH + int(microseconds) * MICROSECOND, int(posting_id))
