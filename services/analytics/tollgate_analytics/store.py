"""Runs sql/*.sql on ClickHouse; rows ↔ types. Every statement about an account names it by a bound parameter."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import Error as ServerError

from tollgate_analytics.queries import Cursor, Dimension, UsageQuery, milliseconds
from tollgate_common.errors import Problem
from tollgate_common.rating import TokenCounts
from tollgate_common.statements import Statements

log = logging.getLogger(__name__)

SQL = Statements("tollgate_analytics")

# No question may take the store away from the others: each is bounded in time, rows read, memory and answer.
LIMITS: Mapping[str, int | str] = {
    "readonly": 1,
    "max_execution_time": 10,
    "max_rows_to_read": 200_000_000,
    "max_memory_usage": 1 << 30,
    "max_result_rows": 100_000,
    "result_overflow_mode": "throw",
}
# TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES
LIMIT_CODES = {158, 159, 160, 241, 307, 396}
HOUR = timedelta(hours=1)


class UsageSum(NamedTuple):
    """One group of a report. What was not grouped by is empty, the bucket then 1970."""

    bucket: datetime
    model: str
    key_id: str
    requests: int
    tokens: TokenCounts
    amount_nano: int


class ClosedRequest(NamedTuple):
    at: datetime
    request_id: str
    key_id: str
    model: str
    served_model: str
    provider: str
    endpoint: str
    stream: bool
    opened_at: datetime
    status: int
    outcome: str
    error_code: str
    finish_reason: str
    latency_ms: int
    first_token_ms: int | None


class RequestUsage(NamedTuple):
    tokens: TokenCounts
    amount_nano: int


NO_USAGE = RequestUsage(TokenCounts(), 0)


class Store:
    def __init__(self, clickhouse: AsyncClient) -> None:
        self._clickhouse = clickhouse

    async def usage(self, account_id: str, query: UsageQuery) -> list[UsageSum]:
        whole_start, whole_end = whole_hours(query.start, query.end)
        rows = await self._query(
            "usage",
            account_id=account_id,
            start_ms=milliseconds(query.start),
            whole_start_ms=milliseconds(whole_start),
            whole_end_ms=milliseconds(whole_end),
            end_ms=milliseconds(query.end),
            granularity=query.granularity or "",
            by_model=Dimension.MODEL in query.group_by,
            by_api_key=Dimension.API_KEY in query.group_by,
            models=query.models,
            key_ids=query.key_ids,
        )
        return [
            UsageSum(bucket.replace(tzinfo=UTC), model, key_id, requests, TokenCounts(*tokens), amount_nano)
            for bucket, model, key_id, requests, *tokens, amount_nano in rows
        ]

    async def requests(self, account_id: str, before: Cursor, limit: int) -> list[ClosedRequest]:
        rows = await self._query(
            "requests", account_id=account_id, before_ms=before.at_ms, before_id=before.request_id, limit=limit
        )
        requests = [ClosedRequest(*row) for row in rows]
        return [
            row._replace(at=row.at.replace(tzinfo=UTC), opened_at=row.opened_at.replace(tzinfo=UTC)) for row in requests
        ]

    async def request_usage(self, account_id: str, request_ids: Sequence[str]) -> dict[str, RequestUsage]:
        rows = await self._query("request_usage", account_id=account_id, request_ids=list(request_ids))
        return {
            request_id: RequestUsage(TokenCounts(*tokens), amount_nano) for request_id, *tokens, amount_nano in rows
        }

    async def newest(self) -> dict[str, datetime]:
        return {kind: at.replace(tzinfo=UTC) for kind, at in await self._query("newest")}

    async def _query(self, statement: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Run one statement within the limits.

        Raises:
            Problem: it asks for too much, or the store does not answer.
        """
        try:
            result = await self._clickhouse.query(SQL[statement], parameters=parameters, settings=dict(LIMITS))
        except ServerError as error:
            if error.code not in LIMIT_CODES:
                raise unavailable(error) from error
            log.warning("%s: over a limit: %s", statement, error)
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "too_much_data",
                "the answer needs more data than one question may read; ask for a shorter range or fewer groups",
            ) from error
        except (ClickHouseError, OSError) as error:
            raise unavailable(error) from error
        return result.result_rows


def unavailable(error: Exception) -> Problem:
    log.error("the store did not answer: %s", error)
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "store_unavailable",
        "the usage store does not answer right now; try again in a moment",
        headers={"Retry-After": "1"},
    )


def whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The whole hours within `[start, end)`; without one, `(end, end)`, so that everything is before them."""
    first = start.replace(minute=0, second=0, microsecond=0)
    first = first if first == start else first + HOUR
    last = end.replace(minute=0, second=0, microsecond=0)
    return (first, last) if first < last else (end, end)
