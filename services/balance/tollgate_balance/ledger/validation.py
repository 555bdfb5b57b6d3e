"""Checks of an event beyond its type, before it reaches the ledger. One invalid event must not stop its batch."""

import re
from datetime import datetime

from tollgate_balance.ledger.accounts import GRANTED_FROM, MAX_CHARGE_NANO, MAX_CREDIT_NANO
from tollgate_common.errors import Poison
from tollgate_common.events import CreditAdjusted, CreditGranted, TokensUsed, UsageEvent
from tollgate_common.money import CURRENCY

_ID = re.compile(r"[!-~]{1,128}")


def check_usage(event: UsageEvent, partition: int) -> None:
    """Check that the ledger can hold a usage event.

    Raises:
        Poison: an invalid id, an amount out of range, or the stamp of another partition.
    """
    if event.stamp.partition != partition:
        raise Poison(f"the stamp names partition {event.stamp.partition}, but the record is in partition {partition}")
    if not isinstance(event, TokensUsed):
        return
    check_id("account_id", event.request.account_id)
    check_id("request_id", event.request.request_id)
    if event.lease_id is not None:
        check_id("lease_id", event.lease_id)
    if not 0 <= event.amount_nano <= MAX_CHARGE_NANO:
        raise Poison(f"amount_nano is {event.amount_nano}; expected 0 to {MAX_CHARGE_NANO}")


def check_grant(grant: CreditGranted) -> None:
    """Check that the ledger can hold a grant.

    Raises:
        Poison: an invalid id, an unknown source, an amount out of range, an invalid time, an early expiry.
    """
    check_id("grant_id", grant.grant_id)
    check_id("account_id", grant.account_id)
    if grant.source not in GRANTED_FROM:
        raise Poison(f"source is {grant.source[:200]!r}; expected one of {', '.join(GRANTED_FROM)}")
    check_currency(grant.currency)
    if not 0 < grant.amount_nano <= MAX_CREDIT_NANO:
        raise Poison(f"amount_nano is {grant.amount_nano}; expected 1 to {MAX_CREDIT_NANO}")
    check_time("at", grant.at)
    check_time("expires_at", grant.expires_at)
    if grant.expires_at is not None and grant.expires_at <= grant.at:
        raise Poison(f"expires_at is {grant.expires_at}, which is not after the time of the grant, {grant.at}")


def check_adjustment(adjustment: CreditAdjusted) -> None:
    """Check that the ledger can hold an adjustment.

    Raises:
        Poison: an invalid id, an amount out of range, or an empty reason.
    """
    check_id("adjustment_id", adjustment.adjustment_id)
    check_id("account_id", adjustment.account_id)
    check_currency(adjustment.currency)
    if not 0 < abs(adjustment.amount_nano) <= MAX_CREDIT_NANO:
        raise Poison(f"amount_nano is {adjustment.amount_nano}; expected ±1 to ±{MAX_CREDIT_NANO}")
    check_time("at", adjustment.at)
    if not adjustment.reason.strip():
        raise Poison("reason is empty; an adjustment needs a reason")


def check_currency(currency: str) -> None:
    if currency != CURRENCY:
        raise Poison(f"currency is {currency[:200]!r}; this deployment keeps its accounts in {CURRENCY}")


def check_time(name: str, value: datetime | None) -> None:
    if value is not None and value.utcoffset() is None:
        raise Poison(f"{name} is {value} without an offset from UTC; expected a time such as 2026-11-23T05:00:00Z")


def check_id(name: str, value: str) -> None:
    if _ID.fullmatch(value) is None:
        raise Poison(f"{name} is {value[:200]!r}; expected 1 to 128 printable ASCII characters without spaces")
