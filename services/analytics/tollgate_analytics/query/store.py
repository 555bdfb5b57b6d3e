"""Runs sql/*.sql on ClickHouse; rows ↔ types. Every statement about an account names it by a bound parameter."""

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
from tollgate_analytics.query.limiter import Gate
from tollgate_analytics.query.retained_range import check_rows_retained, check_usage_retained
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.sql_template import of_filters, of_question, statement
from tollgate_analytics.query.usage_query import EVER, Filters, Range, UsageQuery, whole_hours
from tollgate_analytics.retention.floor import RetentionFloor, find_retention_floor
from tollgate_analytics.times import from_milliseconds, milliseconds
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.http import store_unavailable
from tollgate_common.rating import TokenCounts

log = logging.getLogger(__name__)


# No question may take the store away from the others: each is bounded in time, rows read, memory and answer.
LIMITS: Mapping[str, int | str] = {
    "readonly": 1,
    "max_execution_time": 10,
    "max_rows_to_read": 200_000_000,
    "max_memory_usage": 1 << 30,
    "max_result_rows": 100_000,
    "result_overflow_mode": "throw",
    # Those who ask at once share the store's cores better if none takes all of them; alone, few questions gain by more.
    "max_threads": 1,
    # They are loaded for each statement, to order its conditions by, which its key does as well.
    "use_statistics": 0,
    # Nor to leave out parts by: the key and the index over times leave out the same.
    "use_statistics_for_part_pruning": 0,
    # What is added up at a time stays in a core's cache.
    "max_block_size": 16_384,
    # What is read of sums, and up to where they go, are of one moment.
    "enable_shared_storage_snapshot_in_query": 1,
}
# An export is as long as its range; what it sorts beyond this memory goes to the store's disk.
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
# Most pages of requests are filled within so long, and then no older part of the table is opened.
RECENT = timedelta(days=14)
# Whoever asks how requests ended asks for the few that failed, and two weeks seldom have a page of them.
FIND_FEW = {Dimension.STATUS_CLASS, Dimension.STATUS, Dimension.OUTCOME, Dimension.ERROR_CODE}
# TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES
LIMIT_CODES = {158, 159, 160, 241, 307, 396}


class UsageSum(NamedTuple):
    """One group of a report. What was not grouped by is empty, the bucket then 1970."""

    bucket: datetime
    is_other: bool
    values: tuple[str, ...]
    """Of the dimensions of `UsageQuery.group_by`, in their order."""
    measures: Measures

    @property
    def place(self) -> "Place":
        return self.bucket, self.values


Place = tuple[datetime, tuple[str, ...]]


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
        self._gate = Gate()
        self._exports = Gate(at_once=1, waiting=0)
        self._floor = RetentionFloor()

    async def refresh_retention_floor(self) -> None:
        """Read again from when on data is retained."""
        self._floor = await find_retention_floor(self._clickhouse)

    async def usage(
        self,
        scope: Scope,
        query: UsageQuery,
        *,
        limit: int,
        offset: int = 0,
        named: Sequence[tuple[str, ...]] | None = None,
        snapshot: Snapshot | None = None,
    ) -> list[UsageSum]:
        """Groups by time, then the dearest first. With `named`, all groups but those are added up as one; with a
        snapshot, what came after it is left out.

        Raises:
            Problem: 400, part of the range is no longer kept as finely; as `_ask`.
        """
        check_usage_retained(self._floor, query)
        parameters = of_question(query)
        if not query.needs_rows and (whole := whole_hours(query.range)):
            parameters |= {"whole_start_ms": milliseconds(whole.start), "whole_end_ms": milliseconds(whole.end)}
        if named is not None:
            parameters["named"] = [list(values) or [""] for values in named]
        rows = await self._of(scope, "usage", **parameters, **_of_snapshot(snapshot), limit=limit, offset=offset)
        return [
            UsageSum(
                datetime.fromtimestamp(bucket, UTC),
                bool(is_other),
                tuple(values[: len(query.group_by)]),
                Measures.of_sums(sums),
            )
            for bucket, is_other, *values, sums in rows
        ]

    async def snapshot(self, scope: Scope, over: Range) -> Snapshot:
        """What there is of the range now."""
        rolled_up_ms = milliseconds((await self._query("rolled_up"))[0][0].replace(tzinfo=UTC))
        rows = await self._of(
            scope,
            "snapshot",
            start_ms=milliseconds(over.start),
            end_ms=milliseconds(over.end),
            rolled_up_ms=rolled_up_ms,
        )
        ends = {kind: int(end) for kind, end in rows}
        return Snapshot(rolled_up_ms, ends.get("closed", 0), ends.get("used", 0))

    async def requests(
        self, scope: Scope, over: Range, filters: Filters, before: RequestCursor, limit: int
    ) -> list[ClosedRequest]:
        """A page: the newest requests before the cursor."""
        newest = min(over.end, from_milliseconds(before.at_ms), utc_now())
        since = over.start if filters.keys() & FIND_FEW else max(over.start, newest - RECENT)
        rows = await self._requests(scope, Range(since, over.end), filters, before, limit)
        if len(rows) < limit and over.start < since:
            rows += await self._requests(scope, Range(over.start, since), filters, before, limit - len(rows))
        requests = [ClosedRequest(*row) for row in rows]
        return [
            row._replace(at=row.at.replace(tzinfo=UTC), opened_at=row.opened_at.replace(tzinfo=UTC)) for row in requests
        ]

    async def _requests(
        self, scope: Scope, over: Range, filters: Filters, before: RequestCursor, limit: int
    ) -> list[Sequence[Any]]:
        others = dict(filters)
        classes = others.pop(Dimension.STATUS_CLASS, None)
        parameters = of_filters(others)
        if classes is not None:
            parameters["classes"] = [int(name.removesuffix("xx")) for name in classes]
        # A condition is planned, and one on the time read from each part: what lets everything through is left out.
        if over.start > EVER.start:
            parameters["start_ms"] = milliseconds(over.start)
        if over.end < EVER.end:
            parameters["end_ms"] = milliseconds(over.end)
        if before != NEWEST:
            parameters |= {"before_ms": before.at_ms, "before_id": before.request_id}
        return [*await self._of(scope, "requests", **parameters, limit=limit)]

    async def percentiles(
        self, scope: Scope, query: UsageQuery, *, snapshot: Snapshot | None = None
    ) -> dict[Place, Latencies]:
        check_rows_retained(self._floor, query.range, "the data of percentiles")
        rows = await self._of(scope, "percentiles", **of_question(query), **_of_snapshot(snapshot))
        return {
            (datetime.fromtimestamp(bucket, UTC), tuple(values[: len(query.group_by)])): Latencies(
                tuple(latencies), tuple(first_tokens) if count else None
            )
            for bucket, *values, latencies, first_tokens, count in rows
        }

    async def request_usage(self, scope: Scope, requests: Sequence[ClosedRequest]) -> dict[str, RequestUsage]:
        rows = await self._of(
            scope,
            "request_usage",
            from_ms=milliseconds(min(request.at for request in requests)),
            to_ms=milliseconds(max(request.at for request in requests)),
            request_ids=[request.request_id for request in requests],
        )
        sums = {request_id: Measures.of_sums(sums) for request_id, sums in rows}
        return {request_id: RequestUsage(found.tokens, found.amount_nano) for request_id, found in sums.items()}

    async def generation(self, scope: Scope, request_id: str, within: Range) -> list[dict[str, Any]]:
        """The events of one request, oldest first, by column."""
        async with self._gate.enter(scope.account_id):
            result = await self._ask(
                "generation",
                **scope._asdict(),
                request_id=request_id,
                from_ms=milliseconds(within.start),
                to_ms=milliseconds(within.end),
            )
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    @asynccontextmanager
    async def export(
        self, scope: Scope, over: Range, filters: Filters, engine_format: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Every request of the range as the engine writes it, piece by piece.

        Raises:
            Problem: 429, the account's other export still runs; as `_ask`.
        """
        check_rows_retained(self._floor, over, "the data of an export")
        parameters = {
            **scope._asdict(),
            **of_filters(filters),
            "start_ms": milliseconds(over.start),
            "end_ms": milliseconds(over.end),
        }
        async with self._exports.enter(scope.account_id):
            with _told_apart("export"):
                stream = await self._clickhouse.raw_stream(
                    statement("export", parameters),
                    parameters=parameters,
                    settings=dict(EXPORT_LIMITS),
                    fmt=engine_format,
                )
            async with stream as pieces:
                yield pieces

    async def margins(self, hours: Range, group: str, limit: int) -> list[MarginSum]:
        rows = await self._query(
            "operator_margin",
            group_1={"account": "account_id"}.get(group, group),
            start_ms=milliseconds(hours.start),
            end_ms=milliseconds(hours.end),
            limit=limit,
        )
        return [MarginSum.of_sums(name, sums) for name, sums in rows]

    async def failed_attempts(self, over: Range, limit: int) -> Sequence[Sequence[Any]]:
        return await self._query(
            "operator_attempts", start_ms=milliseconds(over.start), end_ms=milliseconds(over.end), limit=limit
        )

    async def burn(self, since: datetime) -> Sequence[Sequence[Any]]:
        return await self._query("operator_burn", start_ms=milliseconds(since))

    async def newest(self) -> dict[str, datetime]:
        return {kind: at.replace(tzinfo=UTC) for kind, at in await self._query("newest")}

    async def _of(self, scope: Scope, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Run a statement about an account, in its turn and bound to what the caller may see."""
        async with self._gate.enter(scope.account_id):
            return await self._query(name, **scope._asdict(), **parameters)

    async def _query(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        result = await self._ask(name, **parameters)
        return result.result_rows

    async def _ask(self, name: str, **parameters: Any) -> QueryResult:
        """Run one statement within the limits.

        Raises:
            Problem: it asks for too much, or the store does not answer.
        """
        with _told_apart(name):
            return await self._clickhouse.query(
                statement(name, parameters), parameters=parameters, settings=dict(LIMITS)
            )


def _of_snapshot(snapshot: Snapshot | None) -> dict[str, int]:
    return snapshot._asdict() if snapshot else {}


@contextmanager
def _told_apart(name: str) -> Iterator[None]:
    try:
        yield
    except ServerError as error:
        if error.code not in LIMIT_CODES:
            raise unavailable(error) from error
        log.warning("%s: over a limit: %s", name, error)
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "query_too_large",
            "the answer needs more data than one question may read; ask for a shorter range or fewer groups",
        ) from error
    except (ClickHouseError, OSError) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> Problem:
    log.error("the store did not answer: %s", error)
    return store_unavailable()
