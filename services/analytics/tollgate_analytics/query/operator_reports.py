"""The operators' reports over all accounts: margins, failed attempts, and accounts about to run out of credit."""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from tollgate_analytics.measures import MarginSum
from tollgate_analytics.query.schemas import ResponseBody
from tollgate_analytics.query.store import Store
from tollgate_analytics.query.usage_query import TimeRange
from tollgate_analytics.times import HOUR
from tollgate_common.events import BalanceRecord, decode_balance
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.money import divide_half_up
from tollgate_common.topics import Topic

SPEND_WINDOW = timedelta(hours=24)
BASIS_POINTS = 10_000


class MarginGroup(StrEnum):
    ACCOUNT = "account"
    MODEL = "model"
    SERVED_MODEL = "served_model"
    PROVIDER = "provider"


class Margin(ResponseBody):
    name: str
    requests: int
    errors: int
    error_rate_bps: int | None = Field(description="errors per 10,000 requests")
    attempts: int
    revenue_nano: int
    provider_cost_nano: int = Field(description="provider cost of the usage whose cost is known")
    margin_nano: int = Field(description="revenue less provider cost, of the usage whose cost is known")
    margin_bps: int | None = Field(description="margin per 10,000 units of the revenue whose cost is known")
    revenue_of_unknown_cost_nano: int


class Margins(ResponseBody):
    start: datetime
    end: datetime
    data: list[Margin]


class FailedAttempts(ResponseBody):
    provider: str
    target: str
    status: int | None = Field(description="null if the provider sent no response")
    error_code: str
    failed: int


class RunningOut(ResponseBody):
    account_id: str
    available_nano: int
    spent_nano: int = Field(description="spent in the last 24 hours, rounded up to whole UTC hours")
    hours_left: float = Field(description="time until the credit ends at that rate of spending")


class Balances:
    """The newest balance of every account, from balances.v1."""

    def __init__(self, brokers: Brokers, prefix: str) -> None:
        self._records: dict[str, BalanceRecord] = {}
        self.topic = CompactedTopic(brokers, Topic.BALANCES.named(prefix), self._apply)

    def get(self, account_id: str) -> BalanceRecord | None:
        return self._records.get(account_id)

    def _apply(self, account_id: str, value: bytes | None) -> None:
        if value is None:
            self._records.pop(account_id, None)
        else:
            self._records[account_id] = decode_balance(value)


async def report_margins(store: Store, time_range: TimeRange, group: MarginGroup, limit: int) -> Margins:
    """Return margins over whole hours; the range is widened to them."""
    end = _hour(time_range.end)
    hours = TimeRange(_hour(time_range.start), end if end == time_range.end else end + HOUR)
    sums = await store.margins(hours, group, limit)
    return Margins(start=hours.start, end=hours.end, data=[_margin(part) for part in sums])


async def report_running_out(store: Store, balances: Balances, now: datetime, within: timedelta) -> list[RunningOut]:
    """Return the accounts whose credit ends within `within` at the last day's rate of spending, soonest first."""
    found = []
    for account_id, spent_nano in await store.spend(_hour(now - SPEND_WINDOW)):
        balance = balances.get(account_id)
        available_nano = balance.available_nano if balance else 0
        hours = now - _hour(now - SPEND_WINDOW)
        # Compare without dividing, so that rounding cannot decide which accounts are listed.
        if available_nano * (hours // timedelta(milliseconds=1)) <= spent_nano * (within // timedelta(milliseconds=1)):
            left = available_nano * (hours / HOUR) / spent_nano
            found.append(
                RunningOut(
                    account_id=account_id,
                    available_nano=available_nano,
                    spent_nano=spent_nano,
                    hours_left=round(max(0.0, left), 2),
                )
            )
    return sorted(found, key=lambda account: (account.hours_left, account.account_id))


async def report_failed_attempts(store: Store, time_range: TimeRange, limit: int) -> list[FailedAttempts]:
    return [
        FailedAttempts(provider=provider, target=target, status=status or None, error_code=error_code, failed=failed)
        for provider, target, status, error_code, failed in await store.failed_attempts(time_range, limit)
    ]


def _margin(part: MarginSum) -> Margin:
    margin_nano = part.known_nano - part.cost_nano
    return Margin(
        name=part.name,
        requests=part.requests,
        errors=part.errors,
        error_rate_bps=_bps(part.errors, part.requests),
        attempts=part.attempts,
        revenue_nano=part.revenue_nano,
        provider_cost_nano=part.cost_nano,
        margin_nano=margin_nano,
        margin_bps=_bps(margin_nano, part.known_nano),
        revenue_of_unknown_cost_nano=part.revenue_nano - part.known_nano,
    )


def _bps(part: int, whole: int) -> int | None:
    return divide_half_up(part * BASIS_POINTS, whole) if whole else None


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
