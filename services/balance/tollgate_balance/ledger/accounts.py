"""The terms of the double-entry ledger, and the effect of a charge on an account. Pure, so that models can run it."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

# The maximum of one charge and of one credit: a million and a billion currency units. A larger amount is an error of
# its sender. Sums of amounts below these limits fit BIGINT.
MAX_CHARGE_NANO = 10**15
MAX_CREDIT_NANO = 10**18


class LedgerAccount(StrEnum):
    """A ledger account of the deployment. Customer credit is a liability and is kept per customer account."""

    CUSTOMER_CREDIT = "customer_credit"
    REVENUE = "revenue"
    PROMO_EXPENSE = "promo_expense"
    PAYMENTS = "payments"
    ADJUSTMENTS = "adjustments"
    WRITE_OFF = "write_off"
    BREAKAGE = "breakage"
    """Paid credit that expired unused."""


# The ledger account that funds a grant, by the grant's `source`.
GRANTED_FROM = {
    "promo": LedgerAccount.PROMO_EXPENSE,
    "payment": LedgerAccount.PAYMENTS,
    "manual": LedgerAccount.ADJUSTMENTS,
}
# The ledger account that receives the remainder of an expired grant. Only paid credit becomes income (breakage).
EXPIRED_TO = GRANTED_FROM | {"payment": LedgerAccount.BREAKAGE}


class Kind(StrEnum):
    """The cause of a posting. The posting's `reference` is the id of that cause."""

    USAGE = "usage"
    WRITE_OFF = "write_off"
    GRANT = "grant"
    ADJUSTMENT = "adjustment"
    EXPIRY = "expiry"


class Posting(NamedTuple):
    """An amount that moves from `debit` to `credit`. Exactly one of the two is the account's customer credit.

    A usage posting names its event by partition and offset of usage.v1.
    """

    account_id: str
    kind: Kind
    debit: LedgerAccount
    credit: LedgerAccount
    amount_nano: int
    reference: str
    happened_at: datetime
    event_partition: int | None = None
    event_offset: int | None = None


class Account(NamedTuple):
    """The state of an account. While something is due or expiring, nothing is available, because it was taken for that.

    `unburned_nano` was taken from the account and is not yet deducted from its grants. `expiring_nano` is the remainder
    of expired grants. While it is positive, `unburned_nano` is 0 between transactions (see `credits.portfolio`).
    """

    account_id: str
    posted_nano: int
    held_nano: int
    due_nano: int = 0
    version: int = 0
    unburned_nano: int = 0
    expiring_nano: int = 0

    @property
    def available_nano(self) -> int:
        return self.posted_nano - self.held_nano


class Charged(NamedTuple):
    account: Account
    written_off_nano: int


class Collected(NamedTuple):
    account: Account
    taken_nano: int


def charge(account: Account, amount_nano: int, covered_nano: int) -> Charged:
    """Post usage in full. Credit back from write-off the part that neither holds nor available credit cover.

    Args:
        account: satisfies `posted >= held >= 0`, before and after.
        amount_nano: the whole usage.
        covered_nano: the part that leases' holds cover; those holds end with it.
    """
    written_off_nano = max(0, amount_nano - covered_nano - account.available_nano)
    taken_nano = amount_nano - written_off_nano
    charged = account._replace(
        posted_nano=account.posted_nano - taken_nano,
        held_nano=account.held_nano - covered_nano,
        unburned_nano=account.unburned_nano + taken_nano,
    )
    return Charged(charged, written_off_nano)


def collect(account: Account) -> Collected:
    """Take due reductions from available credit. Call it after every change that can free credit."""
    taken_nano = min(account.due_nano, account.available_nano)
    collected = account._replace(
        posted_nano=account.posted_nano - taken_nano,
        due_nano=account.due_nano - taken_nano,
        unburned_nano=account.unburned_nano + taken_nano,
    )
    return Collected(collected, taken_nano)
