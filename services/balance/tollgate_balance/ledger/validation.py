"""What an event must hold beyond its type before it touches the ledger: one bad event must not stop its batch."""

import re
from datetime import datetime

from tollgate_balance.ledger.accounts import GRANTED_FROM, MAX_CHARGE_NANO, MAX_CREDIT_NANO
from tollgate_common.errors import Poison
from tollgate_common.events import CreditAdjusted, CreditGranted, TokensUsed, UsageEvent
from tollgate_common.money import CURRENCY

_ID = re.compile(r"[!-~]{1,128}")


def check_usage(event: UsageEvent, partition: int) -> None:
    """Refuse what the ledger cannot hold.

    Raises:
        Poison: an id that is none, an amount out of range, or another partition's stamp.
    """
    if event.stamp.partition != partition:
        raise Poison(f"stamped for partition {event.stamp.partition}, found in {partition}")
    if not isinstance(event, TokensUsed):
        return
    check_id("account_id", event.request.account_id)
    check_id("request_id", event.request.request_id)
    if event.lease_id is not None:
        check_id("lease_id", event.lease_id)
    if not 0 <= event.amount_nano <= MAX_CHARGE_NANO:
        raise Poison(f"amount_nano is {event.amount_nano}; expected 0 to {MAX_CHARGE_NANO}")


def check_grant(grant: CreditGranted) -> None:
    """Refuse a grant that the ledger cannot hold.

    Raises:
        Poison: an id that is none, an unknown source, an amount out of range, a time that is none or comes too early.
    """
    check_id("grant_id", grant.grant_id)
    check_id("account_id", grant.account_id)
    if grant.source not in GRANTED_FROM:
        raise Poison(f"source is {grant.source[:200]!r}; expected one of {', '.join(GRANTED_FROM)}")
    check_currency(grant.currency)
    if not 0 < grant.amount_nano <= MAX_CREDIT_NANO:
        raise Poison(f"amount_nano is {grant.amount_nano}; a grant is 1 to {MAX_CREDIT_NANO}")
    check_time("at", grant.at)
    check_time("expires_at", grant.expires_at)
    if grant.expires_at is not None and grant.expires_at <= grant.at:
        raise Poison(f"expires_at is {grant.expires_at}, which is not after {grant.at}, when it was granted")


def check_adjustment(adjustment: CreditAdjusted) -> None:
    """Refuse an adjustment that the ledger cannot hold.

    Raises:
        Poison: an id that is none, an amount out of range, no reason.
    """
    check_id("adjustment_id", adjustment.adjustment_id)
    check_id("account_id", adjustment.account_id)
    check_currency(adjustment.currency)
    if not 0 < abs(adjustment.amount_nano) <= MAX_CREDIT_NANO:
        raise Poison(f"amount_nano is {adjustment.amount_nano}; an adjustment is ±1 to ±{MAX_CREDIT_NANO}")
    check_time("at", adjustment.at)
    if not adjustment.reason.strip():
        raise Poison("reason is empty; an adjustment says why")


def check_currency(currency: str) -> None:
    if currency != CURRENCY:
        raise Poison(f"currency is {currency[:200]!r}; this deployment keeps its accounts in {CURRENCY}")


def check_time(name: str, value: datetime | None) -> None:
    if value is not None and value.utcoffset() is None:
        raise Poison(f"{name} is {value} without an offset from UTC, so it is no moment")


def check_id(name: str, value: str) -> None:
    if _ID.fullmatch(value) is None:
        raise Poison(f"{name} is {value[:200]!r}; expected 1 to 128 printable ASCII characters without blanks")
