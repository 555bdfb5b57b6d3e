"""The body of `GET /v1/live`: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec

from tollgate_analytics.live.position import Position, Totals
from tollgate_analytics.live.tail import DROPPED, AccountEvent, LiveTail, Subscriber
from tollgate_analytics.query.schemas import consumption
from tollgate_analytics.query.scopes import Scope
from tollgate_common.events import RequestClosed
from tollgate_common.money import decimal_from_nano

# A comment in this interval keeps the connection open through proxies, and reveals a disconnected client.
KEEP_ALIVE_S = 15.0
RETRY_MS = 1_000


@asynccontextmanager
async def open_stream(tail: LiveTail, scope: Scope, since: Position | None) -> AsyncIterator[AsyncIterator[bytes]]:
    """Subscribe and yield the frames, which end only if the client is too slow.

    Raises:
        Problem: 429 if the account has too many streams; 400 if the stream cannot resume from `since`.
    """
    async with tail.subscribe(scope) as (subscriber, now):
        missed = await tail.read_missed(scope, since, now) if since is not None else ()
        yield _frames(subscriber, now, since or now, missed)


async def _frames(
    subscriber: Subscriber, now: Position, position: Position, missed: Sequence[AccountEvent]
) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MS
    yield _frame("totals", position, _totals(position.totals))
    for event in missed:
        position = _after(position, event)
        yield _event_frame(position, event)
    # Skip the records of other accounts up to now, so that the next resumption need not read them again.
    position = Position(now.requests, now.usage, position.totals)
    while not subscriber.is_too_slow:
        new_event = await _next(subscriber)
        if new_event is None:
            yield b": alive\n\n"
            continue
        position = _after(position, new_event)
        yield _event_frame(position, new_event)
    DROPPED.inc()
    detail = {
        "reason": "too_slow",
        "detail": "this client read more slowly than events arrived; reconnect with Last-Event-ID to resume",
    }
    yield _frame("dropped", position, detail)


async def _next(subscriber: Subscriber) -> AccountEvent | None:
    try:
        return await asyncio.wait_for(subscriber.queue.get(), KEEP_ALIVE_S)
    except TimeoutError:
        return None


def _after(position: Position, account_event: AccountEvent) -> Position:
    totals, event = position.totals, account_event.event
    if isinstance(event, RequestClosed):
        errors = totals.errors + (event.status >= HTTPStatus.BAD_REQUEST)
        return position._replace(
            requests=account_event.offset + 1, totals=totals._replace(requests=totals.requests + 1, errors=errors)
        )
    return position._replace(
        usage=account_event.offset + 1,
        totals=totals._replace(
            tokens=totals.tokens + event.tokens.total, cost_nano=totals.cost_nano + event.amount_nano
        ),
    )


def _event_frame(position: Position, account_event: AccountEvent) -> bytes:
    event = account_event.event
    request = event.request
    body: dict[str, object] = {
        "id": request.request_id,
        "time": event.at,
        "model": request.model,
        "served_model": request.served_model,
        "provider": request.provider,
        "endpoint": request.endpoint,
        "stream": request.stream,
        "project": request.project_id,
        "api_key": request.key_id,
        "end_user": request.end_user,
        "outcome": event.outcome,
        "finish_reason": event.finish_reason,
    }
    if isinstance(event, RequestClosed):
        name = "request"
        body |= {
            "status": event.status,
            "error_code": event.error_code,
            "latency_ms": event.latency_ms,
            "first_token_ms": event.first_token_ms,
            "attempts": event.attempts,
        }
    else:
        name = "usage"
        body |= consumption(event.tokens, event.amount_nano)
    return _frame(name, position, body | {"totals": _totals(position.totals)})


def _totals(totals: Totals) -> dict[str, object]:
    return {**totals._asdict(), "cost": decimal_from_nano(totals.cost_nano)}


def _frame(name: str, position: Position, data: object) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (position.text().encode(), name.encode(), msgspec.json.encode(data))
