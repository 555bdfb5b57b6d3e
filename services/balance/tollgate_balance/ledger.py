"""The double-entry ledger's terms, and what a charge does to an account: pure, so that models can run it."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

# The most that one charge or one credit may be: a million and a billion units. More is a fault of its sender, and
# sums of what stays below fit BIGINT.
MAX_CHARGE_NANO = 10**15
MAX_CREDIT_NANO = 10**18


class LedgerAccount(StrEnum):
    """Seen from the deployment's books; customer credit, a debt to its customers, is kept for each account apart."""

    CUSTOMER_CREDIT = "customer_credit"
    REVENUE = "revenue"
    PROMO_EXPENSE = "promo_expense"
    PAYMENTS = "payments"
    ADJUSTMENTS = "adjustments"
    WRITE_OFF = "write_off"
    BREAKAGE = "breakage"
    """Paid credit that expired unused."""


# Where the credit of a grant comes from, by the grant's `source`.
GRANTED_FROM = {
    "promo": LedgerAccount.PROMO_EXPENSE,
    "payment": LedgerAccount.PAYMENTS,
    "manual": LedgerAccount.ADJUSTMENTS,
}
# Where what is left of it goes when it expires. Only what was paid for is income.
EXPIRED_TO = GRANTED_FROM | {"payment": LedgerAccount.BREAKAGE}


class Kind(StrEnum):
    """What caused a posting; its `reference` names the cause's id."""

    USAGE = "usage"
    WRITE_OFF = "write_off"
    GRANT = "grant"
    ADJUSTMENT = "adjustment"
    EXPIRY = "expiry"


class Posting(NamedTuple):
    """An amount that moves from `debit` to `credit`; exactly one of the two is the account's customer credit.

    Usage names its event by partition and offset of usage.v1.
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
    """What an account has. While something is due or expiring, nothing is available: it has been taken for that.

    `unburned_nano` was taken from the account and not yet from its grants; `expiring_nano` is what remains of grants
    that have expired. While there is some, `unburned_nano` is 0 between transactions: `tollgate_balance.grants`.
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
    """Post usage in full; what neither holds nor available credit cover is credited back from write-off.

    Args:
        account: `posted >= held >= 0`, and so it stays.
        amount_nano: all of the usage.
        covered_nano: the part of it that leases' holds cover; those holds end with it.
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
    """Take what is due from what is available: after every change that may have made some available."""
    taken_nano = min(account.due_nano, account.available_nano)
    collected = account._replace(
        posted_nano=account.posted_nano - taken_nano,
        due_nano=account.due_nano - taken_nano,
        unburned_nano=account.unburned_nano + taken_nano,
    )
    return Collected(collected, taken_nano)
