"""Events → rows of `request_events`: plain tuples, built group by group, because every event there is passes here.

What an event's kind does not measure is zero or empty, so that any sum over any rows is right.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import astuple

from tollgate_common.errors import Poison
from tollgate_common.events import (
    EdgeHeartbeat,
    LeaseClosed,
    RequestClosed,
    RequestDimensions,
    RequestEvent,
    RequestOpened,
    TokensUsed,
    UsageEvent,
    Void,
    encode,
)
from tollgate_common.rating import QUANTITY_COLUMNS, TokenCounts

AnyEvent = RequestEvent | UsageEvent
Row = tuple[Any, ...]

# The groups of columns. Those of a request and of its tokens are named, and follow each other, as on the event.
DIMENSIONS = RequestDimensions.__struct_fields__
ENDING = ("outcome", "finish_reason", "status", "error_code")
CLOSE = ("opened_at", "latency_ms", "first_token_ms", "attempts", "target", "failed_attempts")
TOKENS = tuple(QUANTITY_COLUMNS[name] for name in TokenCounts.__struct_fields__)
CHARGE = ("amount_nano", "estimated", "price_version", "plan_version", "provider_cost_nano")
COLUMNS = ("kind", "at", *DIMENSIONS, *ENDING, *CLOSE, *TOKENS, *CHARGE, "sent")

NO_ENDING = ("", "", 0, "")
NO_CLOSE = (datetime.fromtimestamp(0, UTC), 0, None, 0, "", "")
NO_USAGE = (*astuple(TokenCounts()), 0, False, "", "", None)
NOT_SENT = ("",)

UINT32_MAX = (1 << 32) - 1
INT64_MAX = (1 << 63) - 1


def row_of(event: AnyEvent) -> Row:
    match event:
        case RequestOpened():
            return ("opened", event.at, *astuple(event.request), *NO_ENDING, *NO_CLOSE, *NO_USAGE, *NOT_SENT)
        case RequestClosed():
            return ("closed", event.at, *astuple(event.request), *_ending(event), *_close(event), *NO_USAGE, *NOT_SENT)
        case TokensUsed():
            return ("used", event.at, *astuple(event.request), *_ending(event), *NO_CLOSE, *_usage(event), *NOT_SENT)
        case EdgeHeartbeat():
            return _without_request("heartbeat", event.at, "", encode(event.sent).decode())
        case LeaseClosed():
            return _without_request("lease_closed", event.at, event.account_id)
        case Void():
            return _without_request("void", event.at, event.account_id)


def columns_of(events: Sequence[AnyEvent]) -> Sequence[Sequence[Any]]:
    """The rows of the events, turned: one sequence for each of `COLUMNS`."""
    return list(zip(*map(row_of, events), strict=True))


def _ending(event: RequestClosed | TokensUsed) -> Row:
    return (event.outcome.value, event.finish_reason, event.status, event.error_code)


def _close(event: RequestClosed) -> Row:
    return (
        event.opened_at,
        event.latency_ms,
        event.first_token_ms,
        event.attempts,
        event.target,
        encode(event.failed_attempts).decode() if event.failed_attempts else "",
    )


def _usage(event: TokensUsed) -> Row:
    return (
        *astuple(event.tokens),
        event.amount_nano,
        event.estimated,
        event.price_version,
        event.plan_version,
        event.provider_cost_nano,
    )


def _without_request(kind: str, at: datetime, account_id: str, sent: str = "") -> Row:
    nothing = RequestDimensions(request_id="", account_id=account_id, key_id="", endpoint="", model="")
    return (kind, at, *astuple(nothing), *NO_ENDING, *NO_CLOSE, *NO_USAGE, sent)


def check(event: AnyEvent) -> None:
    """See that the row will go in: one number that its column cannot hold would stop its whole block, for ever.

    Raises:
        Poison: a measure is negative or too large.
    """
    if isinstance(event, RequestClosed):
        _check_range("status", event.status, UINT32_MAX)
        _check_range("latency_ms", event.latency_ms, UINT32_MAX)
        _check_range("first_token_ms", event.first_token_ms or 0, UINT32_MAX)
        _check_range("attempts", event.attempts, UINT32_MAX)
    elif isinstance(event, TokensUsed):
        _check_range("status", event.status, UINT32_MAX)
        _check_range("amount_nano", event.amount_nano, INT64_MAX)
        _check_range("provider_cost_nano", event.provider_cost_nano or 0, INT64_MAX)
        for name, count in zip(TOKENS, astuple(event.tokens), strict=True):
            _check_range(name, count, UINT32_MAX)


def _check_range(name: str, value: int, highest: int) -> None:
    if not 0 <= value <= highest:
        raise Poison(f"{name} is {value}; expected 0 to {highest}")
