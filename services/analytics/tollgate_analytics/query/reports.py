"""One report a function. A caller sees what its scope lets it; that comes from its key or token, never from input."""

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import TopicPartition

from tollgate_analytics.measures import Measures
from tollgate_analytics.query.cursors import GroupCursor, RequestCursor, Snapshot, mark_of_usage, text_of
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
    Latencies,
    Place,
    RequestUsage,
    Store,
    UsageSum,
)
from tollgate_analytics.query.usage_query import Filters, Range, UsageQuery
from tollgate_analytics.times import milliseconds
from tollgate_common.auth.key_directory import KeyDirectory

Named = list[tuple[str, ...]]


class Page(NamedTuple):
    """Of which rows, if not of all that there are, and which groups of them."""

    limit: int
    offset: int = 0
    snapshot: Snapshot | None = None


class Found(NamedTuple):
    named: Named | None
    groups: list[UsageSum]


class UsageReporter:
    """Answers GET /v1/usage for one caller."""

    def __init__(self, store: Store, keys: KeyDirectory, scope: Scope) -> None:
        self._store = store
        self._keys = keys
        self._scope = scope

    async def report(
        self, query: UsageQuery, *, limit: int, cursor: GroupCursor | None, percentiles: bool, with_previous: bool
    ) -> Usage:
        """A page of groups; the total is of all of them, whatever page it is."""
        page = Page(limit, cursor.offset, cursor.snapshot) if cursor else Page(limit)
        found = await self._find(query, page)
        if page.snapshot is None and len(found.groups) > limit:
            # It is the first of several: told anew of rows that the others can tell of too.
            page = page._replace(snapshot=await self._store.snapshot(self._scope, query.range))
            found = await self._find(query, page)
        period = await self._period(query, page, found, percentiles=percentiles)
        previous = None
        if with_previous:
            # The same groups beside those of now, however they did before.
            before = query._replace(range=query.range.before)
            beside = Page(limit)
            groups = await self._groups(before, beside, found.named)
            previous = await self._period(before, beside, Found(found.named, groups), percentiles=percentiles)
        asked: dict[str, object] = {"previous": previous} if with_previous else {}
        return Usage(
            **{name: getattr(period, name) for name in Period.model_fields},
            group_by=query.group_by,
            granularity=query.granularity,
            time_zone=query.time_zone,
            next_cursor=self._next_cursor(query, page) if len(found.groups) > limit else None,
            **asked,
        )

    def _next_cursor(self, query: UsageQuery, page: Page) -> str:
        assert page.snapshot is not None
        over = query.range
        cursor = GroupCursor(page.offset + page.limit, milliseconds(over.start), milliseconds(over.end), page.snapshot)
        return text_of(cursor, mark_of_usage(self._scope, query))

    async def _find(self, query: UsageQuery, page: Page) -> Found:
        """A page, and the dearest groups of the whole range, if the others are to be added up as one."""
        named = None
        if query.top:
            in_all = query._replace(granularity=None)
            dearest = await self._store.usage(self._scope, in_all, limit=query.top, snapshot=page.snapshot)
            named = [part.values for part in dearest]
        return Found(named, await self._groups(query, page, named))

    async def _groups(self, query: UsageQuery, page: Page, named: Named | None) -> list[UsageSum]:
        """The groups of a page, and one more if there is a next one."""
        return await self._store.usage(
            self._scope, query, limit=page.limit + 1, offset=page.offset, named=named, snapshot=page.snapshot
        )

    async def _period(self, query: UsageQuery, page: Page, found: Found, *, percentiles: bool) -> Period:
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
            total=UsageTotal.model_validate(measured(Measures.total([part.measures for part in whole]))),
        )

    def _group(
        self, query: UsageQuery, part: UsageSum, latencies: Mapping[Place, Latencies], *, percentiles: bool
    ) -> UsageGroup:
        asked: dict[str, object] = {}
        if query.granularity is not None:
            asked["time"] = part.bucket
        if query.top:
            asked["other"] = part.is_other
        if not part.is_other:
            for dimension, value in zip(query.group_by, part.values, strict=True):
                asked[dimension.value] = self._value(dimension, value)
            if percentiles and (found := latencies.get(part.place)):
                asked["latency_ms"] = _percentiles(found.latency_ms)
                asked["first_token_ms"] = found.first_token_ms and _percentiles(found.first_token_ms)
        return UsageGroup.model_validate(asked | measured(part.measures))

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
    store: Store, keys: KeyDirectory, scope: Scope, *, over: Range, filters: Filters, before: RequestCursor, limit: int
) -> tuple[RequestPage, RequestCursor | None]:
    """The requests that ended before the cursor, the newest first, and the cursor of the next page.

    Usage and close come on two topics, so that a request may show for a moment before its tokens and cost do.
    """
    # One more than asked for tells whether there is a next page.
    requests = await store.requests(scope, over, filters, before, limit + 1)
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


def measured(measures: Measures) -> dict[str, object]:
    """The fields of `UsageTotal`."""
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
