"""Events → rows of `request_events`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from tollgate_common.errors import Poison
from tollgate_common.events import (
    EdgeHeartbeat,
    LeaseClosed,
    RequestClosed,
    RequestEvent,
    RequestOpened,
    TokensUsed,
    UsageEvent,
    Void,
)

AnyEvent = RequestEvent | UsageEvent

UINT32_MAX = (1 << 32) - 1
INT64_MAX = (1 << 63) - 1
NO_TIME = datetime.fromtimestamp(0, UTC)


class Row(NamedTuple):
    """An event's own columns, named as in the table. What its kind does not measure is zero or empty: all sums hold."""

    kind: str
    at: datetime
    account_id: str = ""
    project_id: str = ""
    key_id: str = ""
    model: str = ""
    served_model: str = ""
    provider: str = ""
    endpoint: str = ""
    stream: bool = False
    end_user: str = ""
    client: str = ""
    request_id: str = ""
    outcome: str = ""
    finish_reason: str = ""
    opened_at: datetime = NO_TIME
    status: int = 0
    error_code: str = ""
    latency_ms: int = 0
    first_token_ms: int | None = None
    attempts: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    amount_nano: int = 0
    estimated: bool = False
    price_version: str = ""
    plan_version: str = ""


def row_of(event: AnyEvent) -> Row:
    match event:
        case RequestOpened():
            return Row("opened", event.at, **msgspec.structs.asdict(event.request), opened_at=event.at)
        case RequestClosed():
            return _closed(event)
        case TokensUsed():
            return _used(event)
        case EdgeHeartbeat():
            return Row("heartbeat", event.at)
        case LeaseClosed():
            return Row("lease_closed", event.at, event.account_id)
        case Void():
            return Row("void", event.at, event.account_id)


def _closed(event: RequestClosed) -> Row:
    return Row(
        "closed",
        event.at,
        **msgspec.structs.asdict(event.request),
        outcome=event.outcome.value,
        finish_reason=event.finish_reason,
        opened_at=event.opened_at,
        status=event.status,
        error_code=event.error_code,
        latency_ms=event.latency_ms,
        first_token_ms=event.first_token_ms,
        attempts=event.attempts,
    )


def _used(event: TokensUsed) -> Row:
    return Row(
        "used",
        event.at,
        **msgspec.structs.asdict(event.request),
        **{f"{name}_tokens": count for name, count in msgspec.structs.asdict(event.tokens).items()},
        outcome=event.outcome.value,
        finish_reason=event.finish_reason,
        amount_nano=event.amount_nano,
        estimated=event.estimated,
        price_version=event.price_version,
        plan_version=event.plan_version,
    )


def columns_of(events: Sequence[AnyEvent]) -> Sequence[Sequence[Any]]:
    return list(zip(*map(row_of, events), strict=True))


def check(event: AnyEvent) -> None:
    """See that the row will go in: one number that its column cannot hold would stop its whole block, for ever.

    Raises:
        Poison: a measure is negative or too large.
    """
    if isinstance(event, RequestClosed):
        measures = {
            "status": event.status,
            "latency_ms": event.latency_ms,
            "first_token_ms": event.first_token_ms or 0,
            "attempts": event.attempts,
        }
    elif isinstance(event, TokensUsed):
        measures = msgspec.structs.asdict(event.tokens)
        if not 0 <= event.amount_nano <= INT64_MAX:
            raise Poison(f"amount_nano is {event.amount_nano}; expected 0 to {INT64_MAX}")
    else:
        return
    for name, value in measures.items():
        if not 0 <= value <= UINT32_MAX:
            raise Poison(f"{name} is {value}; expected 0 to {UINT32_MAX}")
