"""One report a function. An account sees its own rows only: its id comes from the caller's key, never from input."""

from collections.abc import Mapping

from aiokafka import TopicPartition

from tollgate_analytics.queries import Cursor, Dimension, UsageQuery
from tollgate_analytics.schemas import (
    ApiKey,
    Freshness,
    PartitionLag,
    RequestEntry,
    RequestPage,
    Usage,
    UsageGroup,
    UsageTotal,
    consumption,
)
from tollgate_analytics.store import NO_USAGE, ClosedRequest, RequestUsage, Store, UsageSum
from tollgate_common.keys import KeyDirectory
from tollgate_common.rating import TOKEN_CLASSES, TokenCounts


async def report_usage(store: Store, keys: KeyDirectory, account_id: str, query: UsageQuery) -> Usage:
    """An account's usage by the dimensions asked for; the total is the sum of the groups."""
    sums = await store.usage(account_id, query)
    return Usage(
        start=query.start,
        end=query.end,
        group_by=query.group_by,
        granularity=query.granularity,
        data=[_group(keys, account_id, query, part) for part in sums],
        total=_total(sums),
    )


async def list_requests(store: Store, keys: KeyDirectory, account_id: str, before: Cursor, limit: int) -> RequestPage:
    """The requests that ended before the cursor, the newest first.

    Usage and close come on two topics, so that a request may show for a moment before its tokens and cost do.
    """
    # One more than asked for tells whether there is a next page.
    requests = await store.requests(account_id, before, limit + 1)
    page = requests[:limit]
    usage = await store.request_usage(account_id, [request.request_id for request in page]) if page else {}
    more = len(requests) > limit
    return RequestPage(
        data=[_entry(keys, account_id, request, usage.get(request.request_id, NO_USAGE)) for request in page],
        next_cursor=Cursor.after(page[-1].at, page[-1].request_id).text() if more else None,
    )


async def report_freshness(store: Store, lag: Mapping[TopicPartition, int]) -> Freshness:
    return Freshness(
        newest=await store.newest(),
        lag=[
            PartitionLag(topic=partition.topic, partition=partition.partition, lag=events)
            for partition, events in sorted(lag.items())
        ],
    )


def _group(keys: KeyDirectory, account_id: str, query: UsageQuery, part: UsageSum) -> UsageGroup:
    asked: dict[str, object] = {}
    if query.granularity is not None:
        asked["time"] = part.bucket
    if Dimension.MODEL in query.group_by:
        asked["model"] = part.model
    if Dimension.API_KEY in query.group_by:
        asked["api_key"] = _api_key(keys, account_id, part.key_id)
    return UsageGroup.model_validate(asked | consumption(part.tokens, part.amount_nano) | {"requests": part.requests})


def _total(sums: list[UsageSum]) -> UsageTotal:
    tokens = TokenCounts(**{name: sum(getattr(part.tokens, name) for part in sums) for name in TOKEN_CLASSES})
    amount_nano = sum(part.amount_nano for part in sums)
    return UsageTotal.model_validate(
        consumption(tokens, amount_nano) | {"requests": sum(part.requests for part in sums)}
    )


def _entry(keys: KeyDirectory, account_id: str, request: ClosedRequest, usage: RequestUsage) -> RequestEntry:
    fields = request._asdict()
    fields |= {
        "id": fields.pop("request_id"),
        "time": fields.pop("at"),
        "api_key": _api_key(keys, account_id, fields.pop("key_id")),
    }
    return RequestEntry.model_validate(fields | consumption(usage.tokens, usage.amount_nano))


def _api_key(keys: KeyDirectory, account_id: str, key_id: str) -> ApiKey:
    record = keys.find_id(key_id)
    if record is None or record.account_id != account_id:
        return ApiKey(id=key_id)
    return ApiKey(id=key_id, name=record.name)
