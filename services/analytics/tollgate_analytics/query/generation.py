"""The report behind `GET /v1/generation?id=`: one request, its tokens, its cost by line, and every provider attempt."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec

from tollgate_analytics.query.parameters import invalid_parameter
from tollgate_analytics.query.price_book import PriceBook
from tollgate_analytics.query.reports import api_key
from tollgate_analytics.query.schemas import Attempt, CostLine, Generation, consumption
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import Store
from tollgate_analytics.query.usage_query import TimeRange
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.errors import Problem
from tollgate_common.events import FailedAttempt
from tollgate_common.ids import made_at
from tollgate_common.rating import CLASSES, QUANTITY_COLUMNS, Rated, TokenCounts

# An id contains the time at which its request arrived. Responses take minutes; clocks differ by less than that.
MARGIN_BEFORE = timedelta(minutes=5)
MARGIN_AFTER = timedelta(days=1)

_failed_attempts = msgspec.json.Decoder(tuple[FailedAttempt, ...])


async def describe_request(
    store: Store, keys: KeyDirectory, prices: PriceBook, scope: Scope, request_id: str
) -> Generation:
    """Return everything known about one request.

    Raises:
        Problem: 400 if `request_id` is not an id; 404 if the caller has no such request.
    """
    try:
        made = made_at(request_id)
    except ValueError as error:
        raise invalid_parameter(
            "id", f"{request_id!r} is not a request id; copy it from the x-request-id header of a response"
        ) from error
    rows = await store.generation(scope, request_id, TimeRange(made - MARGIN_BEFORE, made + MARGIN_AFTER))
    if not rows:
        raise Problem(HTTPStatus.NOT_FOUND, "request_not_found", f"request {request_id} does not exist", field="id")
    events = {row["kind"]: row for row in rows}
    closed, used = events.get("closed"), events.get("used")
    # The last event carries the most information.
    last = closed or used or rows[0]
    tokens = _tokens(used)
    rated = prices.rated(tokens, used["price_version"]) if used else None
    names = ("model", "served_model", "provider", "endpoint", "stream", "client", "end_user")
    return Generation.model_validate(
        {name: last[name] for name in names}
        | {
            "id": request_id,
            "state": "closed" if closed else "open",
            "project": last["project_id"],
            "api_key": api_key(keys, scope, last["key_id"]),
            "opened_at": _utc(
                closed["opened_at"] if closed else events["opened"]["at"] if "opened" in events else None
            ),
            "closed_at": _utc(closed["at"]) if closed else None,
            "status": last["status"] or None,
            "outcome": last["outcome"] or None,
            "error_code": last["error_code"],
            "finish_reason": last["finish_reason"],
            "latency_ms": closed["latency_ms"] if closed else None,
            "first_token_ms": closed["first_token_ms"] if closed else None,
            "attempts": _attempts(closed) if closed else [],
            "cost_lines": _lines(tokens, rated),
            "request_nano": rated.request_nano if rated else None,
            "tier_above_tokens": rated.tier_above_tokens if rated else None,
            "multiplier_bps": prices.multiplier_bps(used["plan_version"]) if used else None,
            "estimated": bool(used and used["estimated"]),
            "price_version": used["price_version"] if used else None,
            "plan_version": used["plan_version"] if used else None,
        }
        | consumption(tokens, used["amount_nano"] if used else 0)
    )


def _tokens(used: Mapping[str, Any] | None) -> TokenCounts:
    return TokenCounts(**{name: used[column] for name, column in QUANTITY_COLUMNS.items()}) if used else TokenCounts()


def _lines(tokens: TokenCounts, rated: Rated | None) -> Sequence[CostLine]:
    """Return the billed quantities by class, with their prices if the price version is known."""
    if rated is not None:
        return [CostLine(item=line.token_class, quantity=line.quantity, price_nano=line.price) for line in rated.lines]
    quantities = {name: quantity for name in CLASSES if (quantity := getattr(tokens, name))}
    return [CostLine(item=name, quantity=quantity, price_nano=None) for name, quantity in quantities.items()]


def _attempts(closed: Mapping[str, Any]) -> list[Attempt]:
    failed = _failed_attempts.decode(closed["failed_attempts"]) if closed["failed_attempts"] else ()
    attempts = [
        Attempt(
            target=attempt.target,
            provider=attempt.provider,
            latency_ms=attempt.latency_ms,
            status=attempt.status,
            error_code=attempt.error_code,
            served=False,
        )
        for attempt in failed
    ]
    if closed["outcome"] != "refused":
        served_ms = closed["latency_ms"] - sum(attempt.latency_ms for attempt in failed)
        attempts.append(
            Attempt(
                target=closed["target"],
                provider=closed["provider"],
                latency_ms=max(0, served_ms),
                status=closed["status"],
                error_code=closed["error_code"],
                served=True,
            )
        )
    return attempts


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
