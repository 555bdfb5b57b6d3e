"""The reports of the API, one function or class each.

A caller sees what its scope allows; the scope follows from its key or token, never from input.
"""

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import TopicPartition

from tollgate_analytics.measures import Measures
from tollgate_analytics.query.cursors import GroupCursor, RequestCursor, Snapshot, encode_cursor, usage_digest
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.schemas import (
    ApiKey,
    Freshness,
    PartitionLag,
    Percentiles,
    Period,
    RequestEntry,
    RequestPage,
    Usage,
    UsageGroup,
    UsageTotal,
    consumption,
)
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import (
    NO_USAGE,
    ClosedRequest,
    GroupKey,
    GroupSums,
    Latencies,
    RequestUsage,
    Store,
)
from tollgate_analytics.query.usage_query import Filters, TimeRange, UsageQuery
from tollgate_analytics.times import milliseconds
from tollgate_common.auth.key_directory import KeyDirectory

GroupValues = list[tuple[str, ...]]


class GroupPage(NamedTuple):
    """A page of groups, and the rows to read if not all."""

    limit: int
    offset: int = 0
    snapshot: Snapshot | None = None


class FoundGroups(NamedTuple):
    top_groups: GroupValues | None
    groups: list[GroupSums]


class UsageReporter:
    """The report behind GET /v1/usage, for one caller."""

    def __init__(self, store: Store, keys: KeyDirectory, scope: Scope) -> None:
        self._store = store
        self._keys = keys
        self._scope = scope

    async def report(
        self, query: UsageQuery, *, limit: int, cursor: GroupCursor | None, percentiles: bool, with_previous: bool
    ) -> Usage:
        """Return one page of groups; the total covers the groups of all pages."""
        page = GroupPage(limit, cursor.offset, cursor.snapshot) if cursor else GroupPage(limit)
        found = await self._find(query, page)
        if page.snapshot is None and len(found.groups) > limit:
            # This is the first of several pages: read it again from a snapshot that the other pages can read too.
            page = page._replace(snapshot=await self._store.snapshot(self._scope, query.range))
            found = await self._find(query, page)
        period = await self._period(query, page, found, percentiles=percentiles)
        previous = None
        if with_previous:
            # The groups are those of the current period, whatever their rank was in the previous one.
            before = query._replace(range=query.range.before)
            previous_page = GroupPage(limit)
            groups = await self._groups(before, previous_page, found.top_groups)
            previous = await self._period(
                before, previous_page, FoundGroups(found.top_groups, groups), percentiles=percentiles
            )
        optional: dict[str, object] = {"previous": previous} if with_previous else {}
        return Usage(
            **{name: getattr(period, name) for name in Period.model_fields},
            group_by=query.group_by,
            granularity=query.granularity,
            time_zone=query.time_zone,
            next_cursor=self._next_cursor(query, page) if len(found.groups) > limit else None,
            **optional,
        )

    def _next_cursor(self, query: UsageQuery, page: GroupPage) -> str:
        assert page.snapshot is not None
        time_range = query.range
        cursor = GroupCursor(
            page.offset + page.limit, milliseconds(time_range.start), milliseconds(time_range.end), page.snapshot
        )
        return encode_cursor(cursor, usage_digest(self._scope, query))

    async def _find(self, query: UsageQuery, page: GroupPage) -> FoundGroups:
        """Return a page of groups and, if the query has `top`, the costliest groups of the whole range."""
        top_groups = None
        if query.top:
            in_all = query._replace(granularity=None)
            costliest = await self._store.usage(self._scope, in_all, limit=query.top, snapshot=page.snapshot)
            top_groups = [part.values for part in costliest]
        return FoundGroups(top_groups, await self._groups(query, page, top_groups))

    async def _groups(self, query: UsageQuery, page: GroupPage, top_groups: GroupValues | None) -> list[GroupSums]:
        """Return the groups of a page, and one more if there is a next page."""
        return await self._store.usage(
            self._scope, query, limit=page.limit + 1, offset=page.offset, top_groups=top_groups, snapshot=page.snapshot
        )

    async def _period(self, query: UsageQuery, page: GroupPage, found: FoundGroups, *, percentiles: bool) -> Period:
        sums = found.groups[: page.limit]
        latencies = {}
        if percentiles and sums:
            latencies = await self._store.percentiles(self._scope, query, snapshot=page.snapshot)
        whole = found.groups
        if page.offset or len(whole) > page.limit:
            as_one = query._replace(group_by=(), granularity=None)
            whole = await self._store.usage(self._scope, as_one, limit=1, snapshot=page.snapshot)
        return Period(
            start=query.range.start,
            end=query.range.end,
            data=[self._group(query, part, latencies, percentiles=percentiles) for part in sums],
            total=UsageTotal.model_validate(usage_fields(Measures.total([part.measures for part in whole]))),
        )

    def _group(
        self, query: UsageQuery, part: GroupSums, latencies: Mapping[GroupKey, Latencies], *, percentiles: bool
    ) -> UsageGroup:
        fields: dict[str, object] = {}
        if query.granularity is not None:
            fields["time"] = part.bucket
        if query.top:
            fields["other"] = part.is_other
        if not part.is_other:
            for dimension, value in zip(query.group_by, part.values, strict=True):
                fields[dimension.value] = self._value(dimension, value)
            if percentiles and (found := latencies.get(part.key)):
                fields["latency_ms"] = _percentiles(found.latency_ms)
                fields["first_token_ms"] = found.first_token_ms and _percentiles(found.first_token_ms)
        return UsageGroup.model_validate(fields | usage_fields(part.measures))

    def _value(self, dimension: Dimension, value: str) -> object:
        match dimension:
            case Dimension.API_KEY:
                return api_key(self._keys, self._scope, value)
            case Dimension.STREAM:
                return value == "true"
            case Dimension.STATUS:
                return int(value)
            case _:
                return value


async def list_requests(
    store: Store,
    keys: KeyDirectory,
    scope: Scope,
    *,
    time_range: TimeRange,
    filters: Filters,
    before: RequestCursor,
    limit: int,
) -> tuple[RequestPage, RequestCursor | None]:
    """Return the requests that closed before the cursor, newest first, and the cursor of the next page.

    The usage and the close of a request arrive on two topics, so a request may briefly appear without tokens and cost.
    """
    # Read one more request than the page has, to know whether there is a next page.
    requests = await store.requests(scope, time_range, filters, before, limit + 1)
    page = requests[:limit]
    usage = await store.request_usage(scope, page) if page else {}
    data = [entry(keys, scope, request, usage.get(request.request_id, NO_USAGE)) for request in page]
    more = RequestCursor.after(page[-1].at, page[-1].request_id) if len(requests) > limit else None
    return RequestPage(data=data, next_cursor=None), more


async def report_freshness(store: Store, lag: Mapping[TopicPartition, int]) -> Freshness:
    return Freshness(
        newest=await store.newest(),
        lag=[
            PartitionLag(topic=partition.topic, partition=partition.partition, lag=events)
            for partition, events in sorted(lag.items())
        ],
    )


def usage_fields(measures: Measures) -> dict[str, object]:
    """Return the fields of `UsageTotal`."""
    counts = measures.counts
    return {
        **consumption(measures.tokens, measures.amount_nano),
        "requests": counts.requests,
        "errors": counts.errors,
        "attempts": counts.attempts,
        "estimated": counts.estimated,
        "mean_latency_ms": _mean(counts.latency_ms, counts.requests),
        "mean_first_token_ms": _mean(counts.first_token_ms, counts.first_tokens),
        "output_tokens_per_second": _mean(measures.tokens.completion * 1000, counts.latency_ms),
    }


def entry(keys: KeyDirectory, scope: Scope, request: ClosedRequest, usage: RequestUsage) -> RequestEntry:
    fields = request._asdict()
    fields |= {
        "id": fields.pop("request_id"),
        "time": fields.pop("at"),
        "project": fields.pop("project_id"),
        "api_key": api_key(keys, scope, fields.pop("key_id")),
    }
    return RequestEntry.model_validate(fields | consumption(usage.tokens, usage.amount_nano))


def api_key(keys: KeyDirectory, scope: Scope, key_id: str) -> ApiKey:
    record = keys.find_id(key_id)
    if record is None or record.account_id != scope.account_id:
        return ApiKey(id=key_id)
    return ApiKey(id=key_id, name=record.name)


def _percentiles(values: tuple[float, ...]) -> Percentiles:
    return Percentiles(**dict(zip(Percentiles.model_fields, (round(value, 1) for value in values), strict=True)))


def _mean(total: int, count: int) -> float | None:
    return round(total / count, 3) if count else None
