"""OpenAI's Usage and Costs API: its parameters, its pages of buckets, its results.

The model is https://platform.openai.com/docs/api-reference/usage and the types of openai-python. OpenAI's dimensions
that Tollgate does not record (`batch`, `service_tier`, `size`, …) are accepted and null in results, as OpenAI returns
them when not grouped by. A `user_id` is the client's own id of its user.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from tollgate_analytics.measures import Measures
from tollgate_analytics.query.cursors import BucketCursor, buckets_digest, encode_cursor, parse_bucket_cursor
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.parameters import MAX_GROUPS, invalid_parameter, parse_filters
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import GroupSums, Store
from tollgate_analytics.query.usage_query import EARLIEST, LATEST, Filters, Granularity, TimeRange, UsageQuery
from tollgate_analytics.times import milliseconds
from tollgate_common.money import decimal_from_nano

CURRENCY = "usd"


class BucketWidth(NamedTuple):
    """A `bucket_width`, with the default and the maximum number of buckets on a page."""

    granularity: Granularity
    length: timedelta
    default_buckets: int
    max_buckets: int


BUCKET_WIDTHS = {
    "1d": BucketWidth(Granularity.DAY, timedelta(days=1), 7, 31),
    "1h": BucketWidth(Granularity.HOUR, timedelta(hours=1), 24, 168),
    "1m": BucketWidth(Granularity.MINUTE, timedelta(minutes=1), 60, 1440),
}
COSTS_BUCKET_WIDTHS = {"1d": BucketWidth(Granularity.DAY, timedelta(days=1), 7, 180)}

USER, KEY, PROJECT, MODEL = Dimension.END_USER, Dimension.API_KEY, Dimension.PROJECT, Dimension.MODEL
GROUPS = {"project_id": PROJECT, "user_id": USER, "api_key_id": KEY, "model": MODEL}
FILTERS = {"project_ids": PROJECT, "user_ids": USER, "api_key_ids": KEY, "models": MODEL}


class Report(NamedTuple):
    """One of OpenAI's reports: the endpoints whose requests it covers, and the fields of its results."""

    name: str
    endpoints: tuple[str, ...]
    result: Callable[[Measures], dict[str, Any]]
    groups: Mapping[str, Dimension | None]
    """None marks a dimension that Tollgate does not record, here and in `filters`."""
    filters: Mapping[str, Dimension | None] = FILTERS
    widths: Mapping[str, BucketWidth] = BUCKET_WIDTHS


def _completions(measures: Measures) -> dict[str, Any]:
    tokens = measures.tokens
    cached = tokens.cached_input + tokens.cached_audio_input + tokens.cached_image_input
    written = tokens.cache_write + tokens.cache_write_1h
    return {
        "input_tokens": tokens.prompt,
        "input_cached_tokens": cached,
        "input_cache_write_tokens": written,
        "input_uncached_tokens": tokens.prompt - cached - written,
        "input_text_tokens": tokens.input,
        "input_audio_tokens": tokens.audio_input,
        "input_image_tokens": tokens.image_input,
        "input_cached_text_tokens": tokens.cached_input,
        "input_cached_audio_tokens": tokens.cached_audio_input,
        "input_cached_image_tokens": tokens.cached_image_input,
        "output_tokens": tokens.completion,
        "output_text_tokens": tokens.output + tokens.reasoning,
        "output_audio_tokens": tokens.audio_output,
        "output_image_tokens": tokens.image_output,
        "num_model_requests": measures.counts.requests,
    }


def _input(measures: Measures) -> dict[str, Any]:
    return {"input_tokens": measures.tokens.prompt, "num_model_requests": measures.counts.requests}


def _images(measures: Measures) -> dict[str, Any]:
    return {"images": measures.tokens.images, "num_model_requests": measures.counts.requests}


def _speeches(measures: Measures) -> dict[str, Any]:
    return {"characters": measures.tokens.characters, "num_model_requests": measures.counts.requests}


def _transcriptions(measures: Measures) -> dict[str, Any]:
    return {"seconds": measures.tokens.audio_seconds, "num_model_requests": measures.counts.requests}


def _costs(measures: Measures) -> dict[str, Any]:
    # A JSON number, as in OpenAI's API, and exact: it never becomes a float.
    value = msgspec.Raw(decimal_from_nano(measures.amount_nano).encode())
    return {"amount": {"value": value, "currency": CURRENCY}, "quantity": None, "quantity_unit": None}


def _requests_only(measures: Measures) -> dict[str, Any]:
    return {"num_model_requests": measures.counts.requests}


_NO_ENDPOINT = ("",)
_TEXT_GROUPS = GROUPS | dict.fromkeys(("batch", "service_tier", "api_source"))
REPORTS = {
    "usage/completions": Report(
        "organization.usage.completions.result",
        ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
        _completions,
        _TEXT_GROUPS,
    ),
    "usage/embeddings": Report("organization.usage.embeddings.result", ("/v1/embeddings",), _input, GROUPS),
    "usage/moderations": Report("organization.usage.moderations.result", ("/v1/moderations",), _input, GROUPS),
    "usage/images": Report(
        "organization.usage.images.result",
        ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations"),
        _images,
        GROUPS | dict.fromkeys(("size", "source")),
    ),
    "usage/audio_speeches": Report(
        "organization.usage.audio_speeches.result", ("/v1/audio/speech",), _speeches, GROUPS
    ),
    "usage/audio_transcriptions": Report(
        "organization.usage.audio_transcriptions.result",
        ("/v1/audio/transcriptions", "/v1/audio/translations"),
        _transcriptions,
        GROUPS,
    ),
    # Tollgate offers no tools that a provider runs. Clients that read all reports get these without usage.
    **{
        f"usage/{name}": Report(
            f"organization.usage.{name}.result", _NO_ENDPOINT, _requests_only, {**GROUPS, more: None}, filters
        )
        for name, more, filters in (
            ("decisions", "batch", FILTERS),
            ("code_interpreter_sessions", "batch", FILTERS),
            ("file_search_calls", "vector_store_id", {**FILTERS, "vector_store_ids": None}),
            ("vector_stores", "batch", FILTERS),
            ("web_search_calls", "context_level", {**FILTERS, "context_levels": None}),
        )
    },
    # A line item is a model, because the cost of a request is one amount over all its classes of tokens.
    "costs": Report(
        "organization.costs.result",
        (),
        _costs,
        {"project_id": PROJECT, "user_id": USER, "api_key_id": KEY, "line_item": MODEL, "api_source": None},
        {"project_ids": PROJECT, "user_ids": USER, "api_key_ids": KEY, "line_items": MODEL},
        COSTS_BUCKET_WIDTHS,
    ),
}


class BucketQuery(NamedTuple):
    range: TimeRange
    bucket_width: BucketWidth
    limit: int
    groups: tuple[str, ...]
    filters: Filters


def parse_query(report: Report, given: Sequence[tuple[str, str]], scope: Scope, now: datetime) -> BucketQuery:
    """Parse the parameters. A list is `name`, repeated, or `name[]`, as OpenAI's SDKs send it.

    Raises:
        Problem: 400 if a parameter is unknown, missing or invalid; the problem names it.
    """
    lists = ("group_by", *report.filters)
    known = ("start_time", "end_time", "bucket_width", "limit", "page", "batch", *lists)
    values: dict[str, list[str]] = {}
    for raw_name, value in given:
        name = raw_name.removesuffix("[]")
        if name not in known or (name != raw_name and name not in lists):
            raise invalid_parameter(raw_name, f"unknown parameter; allowed are {', '.join(known)}")
        values.setdefault(name, []).append(value)
    width_name = _last(values, "bucket_width") or "1d"
    if width_name not in report.widths:
        raise invalid_parameter("bucket_width", f"{width_name!r} is unknown; allowed are {', '.join(report.widths)}")
    bucket_width = report.widths[width_name]
    groups = tuple(dict.fromkeys(values.get("group_by", ())))
    for name in groups:
        if name not in report.groups:
            raise invalid_parameter("group_by", f"{name!r} is unknown; allowed are {', '.join(report.groups)}")
    start = _floor(_time("start_time", _last(values, "start_time")), bucket_width)
    end = now if "end_time" not in values else _time("end_time", _last(values, "end_time"))
    if start >= end:
        raise invalid_parameter("start_time", f"{_seconds(start)} is not before end_time, {_seconds(end)}")
    filters = parse_filters(
        {dimension: values.get(name, ()) for name, dimension in report.filters.items() if dimension is not None}
    )
    query = BucketQuery(
        TimeRange(start, end), bucket_width, _limit(_last(values, "limit"), bucket_width), groups, filters
    )
    page = _last(values, "page")
    if page is None:
        return query
    cursor = parse_bucket_cursor(page, _digest(report, query, scope))
    return query._replace(range=cursor.range)


async def report_page(store: Store, scope: Scope, report: Report, query: BucketQuery) -> bytes:
    """Return a page of buckets as JSON, including buckets without usage."""
    start, bucket_width = query.range.start, query.bucket_width
    page_end = min(query.range.end, start + bucket_width.length * query.limit)
    dimensions = tuple(dict.fromkeys(found for name in query.groups if (found := report.groups[name])))
    usage_query = UsageQuery(
        TimeRange(start, page_end),
        dimensions,
        bucket_width.granularity,
        {**query.filters, **({Dimension.ENDPOINT: report.endpoints} if report.endpoints else {})},
    )
    buckets: dict[datetime, list[dict[str, Any]]] = {}
    for part in await store.usage(scope, usage_query, limit=MAX_GROUPS):
        buckets.setdefault(part.bucket, []).append(_result(report, query, dimensions, part))
    data = []
    while start < page_end:
        data.append(_bucket(start, start + bucket_width.length, buckets.get(start, [])))
        start += bucket_width.length
    more = start < query.range.end
    cursor = BucketCursor(milliseconds(start), milliseconds(query.range.end))
    page = {
        "object": "page",
        "data": data,
        "has_more": more,
        "next_page": encode_cursor(cursor, _digest(report, query, scope)) if more else None,
    }
    return msgspec.json.encode(page)


def _bucket(start: datetime, end: datetime, results: list[dict[str, Any]]) -> dict[str, Any]:
    times = {"start_time": _seconds(start), "end_time": _seconds(end)}
    return {"object": "bucket", **times, "results": results}


def _result(report: Report, query: BucketQuery, dimensions: tuple[Dimension, ...], part: GroupSums) -> dict[str, Any]:
    values = dict(zip(dimensions, part.values, strict=True))
    grouped = {
        name: values.get(dimension) if dimension is not None and name in query.groups else None
        for name, dimension in report.groups.items()
    }
    return {"object": report.name, **report.result(part.measures), **grouped}


def _digest(report: Report, query: BucketQuery, scope: Scope) -> str:
    return buckets_digest(scope, (report.name, query.bucket_width.granularity, query.groups, dict(query.filters)))


def _last(values: Mapping[str, list[str]], name: str) -> str | None:
    return values[name][-1] if name in values else None


def _number(text: str | None) -> int:
    """Return the number in plain digits; -1 for anything else, or for more than 12 digits."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,12}", text) else -1


def _seconds(moment: datetime) -> int:
    return milliseconds(moment) // 1000


def _time(field: str, text: str | None) -> datetime:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=min(_number(text), 1 << 33))
    if not EARLIEST <= moment < LATEST:
        raise invalid_parameter(
            field, f"{text!r} is not a time from 2000 to 2099; expected seconds since 1970, such as 1793491200"
        )
    return moment


def _floor(moment: datetime, bucket_width: BucketWidth) -> datetime:
    return moment - (moment - datetime.fromtimestamp(0, UTC)) % bucket_width.length


def _limit(text: str | None, bucket_width: BucketWidth) -> int:
    if text is None:
        return bucket_width.default_buckets
    if not 1 <= _number(text) <= bucket_width.max_buckets:
        raise invalid_parameter(
            "limit", f"{text!r} buckets; expected 1 to {bucket_width.max_buckets} for this bucket_width"
        )
    return _number(text)
