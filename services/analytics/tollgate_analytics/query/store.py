"""The read side of ClickHouse: runs `sql/*.sql` and converts rows to types.

Every statement about an account binds the account as a parameter.
"""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import Error as ServerError
from clickhouse_connect.driver.query import QueryResult

from tollgate_analytics.measures import MarginSum, Measures
from tollgate_analytics.query.cursors import NEWEST, RequestCursor, Snapshot
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.limiter import QueryLimiter
from tollgate_analytics.query.retained_range import check_rows_retained, check_usage_retained
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.sql_template import filter_parameters, query_parameters, statement
from tollgate_analytics.query.usage_query import EVER, Filters, TimeRange, UsageQuery, whole_hours
from tollgate_analytics.retention.floor import RetentionFloor, find_retention_floor
from tollgate_analytics.times import from_milliseconds, milliseconds
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.http import store_unavailable
from tollgate_common.rating import TokenCounts

log = logging.getLogger(__name__)


# No query may starve the others, so each is limited in time, rows read, memory and result.
LIMITS: Mapping[str, int | str] = {
    "readonly": 1,
    "max_execution_time": 10,
    "max_rows_to_read": 200_000_000,
    "max_memory_usage": 1 << 30,
    "max_result_rows": 100_000,
    "result_overflow_mode": "throw",
    # Concurrent queries share the cores better if none takes all of them; few queries would be faster alone.
    "max_threads": 1,
    # The engine loads statistics for each statement to order its conditions; the primary key does that as well.
    "use_statistics": 0,
    # Nor are statistics needed to skip parts: the primary key and the index over times skip the same ones.
    "use_statistics_for_part_pruning": 0,
    # A block of this size fits into a core's cache while it is added up.
    "max_block_size": 16_384,
    # The sums and the time up to which they reach are read from one snapshot.
    "enable_shared_storage_snapshot_in_query": 1,
}
# An export grows with its range; sorting beyond this memory spills to the store's disk.
EXPORT_LIMITS: Mapping[str, int | str] = {
    "readonly": 1,
    "max_threads": 1,
    "max_execution_time": 600,
    "max_rows_to_read": 200_000_000,
    "max_memory_usage": 1 << 30,
    "max_bytes_before_external_group_by": 256 << 20,
    "max_bytes_before_external_sort": 256 << 20,
    "optimize_aggregation_in_order": 1,
}
# Most pages of requests are full within this time, and then no older part of the table is opened.
RECENT_WINDOW = timedelta(days=14)
# A filter by outcome usually selects the few failed requests; two weeks seldom contain a page of them.
SELECTIVE_FILTERS = {Dimension.STATUS_CLASS, Dimension.STATUS, Dimension.OUTCOME, Dimension.ERROR_CODE}
# TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES
LIMIT_CODES = {158, 159, 160, 241, 307, 396}


class GroupSums(NamedTuple):
    """One group of a report. `values` is empty without dimensions; `bucket` is 1970 without a granularity."""

    bucket: datetime
    is_other: bool
    values: tuple[str, ...]
    """The values of the dimensions in `UsageQuery.group_by`, in that order."""
    measures: Measures

    @property
    def key(self) -> "GroupKey":
        return self.bucket, self.values


GroupKey = tuple[datetime, tuple[str, ...]]


class Latencies(NamedTuple):
    """The 50th, 90th, 95th and 99th percentile of each, in milliseconds."""

    latency_ms: tuple[float, ...]
    first_token_ms: tuple[float, ...] | None


class ClosedRequest(NamedTuple):
    at: datetime
    request_id: str
    key_id: str
    project_id: str
    model: str
    served_model: str
    provider: str
    endpoint: str
    stream: bool
    client: str
    end_user: str
    opened_at: datetime
    status: int
    outcome: str
    error_code: str
    finish_reason: str
    latency_ms: int
    first_token_ms: int | None
    attempts: int
    target: str


class RequestUsage(NamedTuple):
    tokens: TokenCounts
    amount_nano: int


NO_USAGE = RequestUsage(TokenCounts(), 0)


class Store:
    def __init__(self, clickhouse: AsyncClient) -> None:
        self._clickhouse = clickhouse
        self._limiter = QueryLimiter()
        self._export_limiter = QueryLimiter(max_running=1, max_waiting=0)
        self._floor = RetentionFloor()

    async def refresh_retention_floor(self) -> None:
        """Read from the store from when on data is retained."""
        self._floor = await find_retention_floor(self._clickhouse)

    async def usage(
        self,
        scope: Scope,
        query: UsageQuery,
        *,
        limit: int,
        offset: int = 0,
        top_groups: Sequence[tuple[str, ...]] | None = None,
        snapshot: Snapshot | None = None,
    ) -> list[GroupSums]:
        """Return groups by time, then by descending cost.

        Args:
            scope: the usage that the caller may read.
            query: the range, dimensions and filters.
            limit: maximum number of groups.
            offset: number of groups to skip.
            top_groups: keep these groups apart and add up all others as one.
            snapshot: ignore rows that were inserted after it.

        Raises:
            Problem: 400 if part of the range is no longer retained in this detail; otherwise as `_run`.
        """
        check_usage_retained(self._floor, query)
        parameters = query_parameters(query)
        if not query.needs_rows and (whole := whole_hours(query.range)):
            parameters |= {"whole_start_ms": milliseconds(whole.start), "whole_end_ms": milliseconds(whole.end)}
        if top_groups is not None:
            parameters["top_groups"] = [list(values) or [""] for values in top_groups]
        rows = await self._query_account(
            scope, "usage", **parameters, **_snapshot_parameters(snapshot), limit=limit, offset=offset
        )
        return [
            GroupSums(
                datetime.fromtimestamp(bucket, UTC),
                bool(is_other),
                tuple(values[: len(query.group_by)]),
                Measures.of_sums(sums),
            )
            for bucket, is_other, *values, sums in rows
        ]

    async def snapshot(self, scope: Scope, time_range: TimeRange) -> Snapshot:
        """Return the rows that the range has now."""
        rolled_up_ms = milliseconds((await self._query("rolled_up"))[0][0].replace(tzinfo=UTC))
        rows = await self._query_account(
            scope,
            "snapshot",
            start_ms=milliseconds(time_range.start),
            end_ms=milliseconds(time_range.end),
            rolled_up_ms=rolled_up_ms,
        )
        ends = {kind: int(end) for kind, end in rows}
        return Snapshot(rolled_up_ms, ends.get("closed", 0), ends.get("used", 0))

    async def requests(
        self, scope: Scope, time_range: TimeRange, filters: Filters, before: RequestCursor, limit: int
    ) -> list[ClosedRequest]:
        """Return one page: the newest requests before the cursor."""
        newest = min(time_range.end, from_milliseconds(before.at_ms), utc_now())
        since = (
            time_range.start if filters.keys() & SELECTIVE_FILTERS else max(time_range.start, newest - RECENT_WINDOW)
        )
        rows = await self._requests(scope, TimeRange(since, time_range.end), filters, before, limit)
        if len(rows) < limit and time_range.start < since:
            rows += await self._requests(scope, TimeRange(time_range.start, since), filters, before, limit - len(rows))
        requests = [ClosedRequest(*row) for row in rows]
        return [
            row._replace(at=row.at.replace(tzinfo=UTC), opened_at=row.opened_at.replace(tzinfo=UTC)) for row in requests
        ]

    async def _requests(
        self, scope: Scope, time_range: TimeRange, filters: Filters, before: RequestCursor, limit: int
    ) -> list[Sequence[Any]]:
        others = dict(filters)
        classes = others.pop(Dimension.STATUS_CLASS, None)
        parameters = filter_parameters(others)
        if classes is not None:
            parameters["classes"] = [int(name.removesuffix("xx")) for name in classes]
        # A condition costs planning, and one on time costs a read of each part, so omit those that match everything.
        if time_range.start > EVER.start:
            parameters["start_ms"] = milliseconds(time_range.start)
        if time_range.end < EVER.end:
            parameters["end_ms"] = milliseconds(time_range.end)
        if before != NEWEST:
            parameters |= {"before_ms": before.at_ms, "before_id": before.request_id}
        return [*await self._query_account(scope, "requests", **parameters, limit=limit)]

    async def percentiles(
        self, scope: Scope, query: UsageQuery, *, snapshot: Snapshot | None = None
    ) -> dict[GroupKey, Latencies]:
        check_rows_retained(self._floor, query.range, "the data for percentiles")
        rows = await self._query_account(
            scope, "percentiles", **query_parameters(query), **_snapshot_parameters(snapshot)
        )
        return {
            (datetime.fromtimestamp(bucket, UTC), tuple(values[: len(query.group_by)])): Latencies(
                tuple(latencies), tuple(first_tokens) if count else None
            )
            for bucket, *values, latencies, first_tokens, count in rows
        }

    async def request_usage(self, scope: Scope, requests: Sequence[ClosedRequest]) -> dict[str, RequestUsage]:
        rows = await self._query_account(
            scope,
            "request_usage",
            from_ms=milliseconds(min(request.at for request in requests)),
            to_ms=milliseconds(max(request.at for request in requests)),
            request_ids=[request.request_id for request in requests],
        )
        sums = {request_id: Measures.of_sums(sums) for request_id, sums in rows}
        return {request_id: RequestUsage(found.tokens, found.amount_nano) for request_id, found in sums.items()}

    async def generation(self, scope: Scope, request_id: str, within: TimeRange) -> list[dict[str, Any]]:
        """Return the events of one request as columns, oldest first."""
        async with self._limiter.slot(scope.account_id):
            result = await self._run(
                "generation",
                **scope._asdict(),
                request_id=request_id,
                from_ms=milliseconds(within.start),
                to_ms=milliseconds(within.end),
            )
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    @asynccontextmanager
    async def export(
        self, scope: Scope, time_range: TimeRange, filters: Filters, engine_format: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield every request of the range piece by piece, in the engine's output format.

        Raises:
            Problem: 429 if another export of the account still runs; otherwise as `_run`.
        """
        check_rows_retained(self._floor, time_range, "the data for an export")
        parameters = {
            **scope._asdict(),
            **filter_parameters(filters),
            "start_ms": milliseconds(time_range.start),
            "end_ms": milliseconds(time_range.end),
        }
        async with self._export_limiter.slot(scope.account_id):
            with _store_errors("export"):
                stream = await self._clickhouse.raw_stream(
                    statement("export", parameters),
                    parameters=parameters,
                    settings=dict(EXPORT_LIMITS),
                    fmt=engine_format,
                )
            async with stream as pieces:
                yield pieces

    async def margins(self, hours: TimeRange, group: str, limit: int) -> list[MarginSum]:
        rows = await self._query(
            "operator_margin",
            group_1={"account": "account_id"}.get(group, group),
            start_ms=milliseconds(hours.start),
            end_ms=milliseconds(hours.end),
            limit=limit,
        )
        return [MarginSum.of_sums(name, sums) for name, sums in rows]

    async def failed_attempts(self, time_range: TimeRange, limit: int) -> Sequence[Sequence[Any]]:
        return await self._query(
            "operator_attempts",
            start_ms=milliseconds(time_range.start),
            end_ms=milliseconds(time_range.end),
            limit=limit,
        )

    async def spend(self, since: datetime) -> Sequence[Sequence[Any]]:
        return await self._query("operator_burn", start_ms=milliseconds(since))

    async def newest(self) -> dict[str, datetime]:
        return {kind: at.replace(tzinfo=UTC) for kind, at in await self._query("newest")}

    async def _query_account(self, scope: Scope, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Run a statement about an account, in one of its slots and bound to the caller's scope."""
        async with self._limiter.slot(scope.account_id):
            return await self._query(name, **scope._asdict(), **parameters)

    async def _query(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        result = await self._run(name, **parameters)
        return result.result_rows

    async def _run(self, name: str, **parameters: Any) -> QueryResult:
        """Run one statement within the limits.

        Raises:
            Problem: 400 if it exceeds a limit, 503 if the store is unavailable.
        """
        with _store_errors(name):
            return await self._clickhouse.query(
                statement(name, parameters), parameters=parameters, settings=dict(LIMITS)
            )


def _snapshot_parameters(snapshot: Snapshot | None) -> dict[str, int]:
    return snapshot._asdict() if snapshot else {}


@contextmanager
def _store_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ServerError as error:
        if error.code not in LIMIT_CODES:
            raise _unavailable(error) from error
        log.warning("the query %s exceeded a limit: %s", name, error)
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "query_too_large",
            "the query needs more data than one query may read; request a shorter range or fewer groups",
        ) from error
    except (ClickHouseError, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Problem:
    log.error("the store is unavailable: %s", error)
    return store_unavailable()
