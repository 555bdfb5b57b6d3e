"""OpenAI's Usage and Costs API: its parameters, its pages of buckets, its results.

After https://platform.openai.com/docs/api-reference/usage, as openai-python types it. What OpenAI groups by and this
does not know (`batch`, `service_tier`, `size`, …) is accepted and is null, as it is there when not grouped by. A
`user_id` is the client's own id of its user.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from tollgate_analytics.measures import Measures
from tollgate_analytics.query.cursors import BucketCursor, mark_of_buckets, parse_bucket_cursor, text_of
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.parameters import MAX_GROUPS, parse_filters, wrong
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import Store, UsageSum
from tollgate_analytics.query.usage_query import EARLIEST, LATEST, Filters, Granularity, Range, UsageQuery
from tollgate_analytics.times import milliseconds
from tollgate_common.money import decimal_from_nano

CURRENCY = "usd"


class Width(NamedTuple):
    """A `bucket_width`, and how many buckets a page has of it."""

    granularity: Granularity
    length: timedelta
    default: int
    most: int


WIDTHS = {
    "1d": Width(Granularity.DAY, timedelta(days=1), 7, 31),
    "1h": Width(Granularity.HOUR, timedelta(hours=1), 24, 168),
    "1m": Width(Granularity.MINUTE, timedelta(minutes=1), 60, 1440),
}
COSTS_WIDTHS = {"1d": Width(Granularity.DAY, timedelta(days=1), 7, 180)}

USER, KEY, PROJECT, MODEL = Dimension.END_USER, Dimension.API_KEY, Dimension.PROJECT, Dimension.MODEL
GROUPS = {"project_id": PROJECT, "user_id": USER, "api_key_id": KEY, "model": MODEL}
FILTERS = {"project_ids": PROJECT, "user_ids": USER, "api_key_ids": KEY, "models": MODEL}


class Report(NamedTuple):
    """One of OpenAI's reports: which requests it is of, and what it tells of them."""

    name: str
    endpoints: tuple[str, ...]
    result: Callable[[Measures], dict[str, Any]]
    groups: Mapping[str, Dimension | None]
    """None is what Tollgate does not tell apart; so it is of the filters."""
    filters: Mapping[str, Dimension | None] = FILTERS
    widths: Mapping[str, Width] = WIDTHS


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
    # A number in JSON, as OpenAI's is, and exact: it never is a float here.
    value = msgspec.Raw(decimal_from_nano(measures.amount_nano).encode())
    return {"amount": {"value": value, "currency": CURRENCY}, "quantity": None, "quantity_unit": None}


def _nothing(measures: Measures) -> dict[str, Any]:
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
    # Tools that a provider runs are not offered here: nothing was used of them, and tools that ask for all are told so.
    **{
        f"usage/{name}": Report(
            f"organization.usage.{name}.result", _NO_ENDPOINT, _nothing, {**GROUPS, more: None}, filters
        )
        for name, more, filters in (
            ("decisions", "batch", FILTERS),
            ("code_interpreter_sessions", "batch", FILTERS),
            ("file_search_calls", "vector_store_id", {**FILTERS, "vector_store_ids": None}),
            ("vector_stores", "batch", FILTERS),
            ("web_search_calls", "context_level", {**FILTERS, "context_levels": None}),
        )
    },
    # A line item is a model: what a request cost is one amount, whatever classes of tokens it had.
    "costs": Report(
        "organization.costs.result",
        (),
        _costs,
        {"project_id": PROJECT, "user_id": USER, "api_key_id": KEY, "line_item": MODEL, "api_source": None},
        {"project_ids": PROJECT, "user_ids": USER, "api_key_ids": KEY, "line_items": MODEL},
        COSTS_WIDTHS,
    ),
}


class Question(NamedTuple):
    range: Range
    width: Width
    limit: int
    groups: tuple[str, ...]
    filters: Filters


def parse_question(report: Report, given: Sequence[tuple[str, str]], scope: Scope, now: datetime) -> Question:
    """Read the parameters, lists as `name`, repeated, or `name[]`, as OpenAI's SDKs send them.

    Raises:
        Problem: 400, one is unknown, missing or wrong; it is named.
    """
    lists = ("group_by", *report.filters)
    known = ("start_time", "end_time", "bucket_width", "limit", "page", "batch", *lists)
    values: dict[str, list[str]] = {}
    for raw_name, value in given:
        name = raw_name.removesuffix("[]")
        if name not in known or (name != raw_name and name not in lists):
            raise wrong(raw_name, f"unknown parameter; allowed are {', '.join(known)}")
        values.setdefault(name, []).append(value)
    width_name = _last(values, "bucket_width") or "1d"
    if width_name not in report.widths:
        raise wrong("bucket_width", f"{width_name!r} is unknown; allowed are {', '.join(report.widths)}")
    width = report.widths[width_name]
    groups = tuple(dict.fromkeys(values.get("group_by", ())))
    for name in groups:
        if name not in report.groups:
            raise wrong("group_by", f"{name!r} is unknown; allowed are {', '.join(report.groups)}")
    start = _floor(_time("start_time", _last(values, "start_time")), width)
    end = now if "end_time" not in values else _time("end_time", _last(values, "end_time"))
    if start >= end:
        raise wrong("start_time", "it is not before end_time")
    filters = parse_filters(
        {dimension: values.get(name, ()) for name, dimension in report.filters.items() if dimension is not None}
    )
    question = Question(Range(start, end), width, _limit(_last(values, "limit"), width), groups, filters)
    page = _last(values, "page")
    if page is None:
        return question
    cursor = parse_bucket_cursor(page, _mark(report, question, scope))
    return question._replace(range=cursor.range)


async def report_page(store: Store, scope: Scope, report: Report, question: Question) -> bytes:
    """A page of buckets as JSON, those without usage too."""
    start, width = question.range.start, question.width
    page_end = min(question.range.end, start + width.length * question.limit)
    dimensions = tuple(dict.fromkeys(found for name in question.groups if (found := report.groups[name])))
    query = UsageQuery(
        Range(start, page_end),
        dimensions,
        width.granularity,
        {**question.filters, **({Dimension.ENDPOINT: report.endpoints} if report.endpoints else {})},
    )
    buckets: dict[datetime, list[dict[str, Any]]] = {}
    for part in await store.usage(scope, query, limit=MAX_GROUPS):
        buckets.setdefault(part.bucket, []).append(_result(report, question, dimensions, part))
    data = []
    while start < page_end:
        data.append(_bucket(start, start + width.length, buckets.get(start, [])))
        start += width.length
    more = start < question.range.end
    cursor = BucketCursor(milliseconds(start), milliseconds(question.range.end))
    page = {
        "object": "page",
        "data": data,
        "has_more": more,
        "next_page": text_of(cursor, _mark(report, question, scope)) if more else None,
    }
    return msgspec.json.encode(page)


def _bucket(start: datetime, end: datetime, results: list[dict[str, Any]]) -> dict[str, Any]:
    times = {"start_time": milliseconds(start) // 1000, "end_time": milliseconds(end) // 1000}
    return {"object": "bucket", **times, "results": results}


def _result(report: Report, question: Question, dimensions: tuple[Dimension, ...], part: UsageSum) -> dict[str, Any]:
    values = dict(zip(dimensions, part.values, strict=True))
    asked = {
        name: values.get(dimension) if dimension is not None and name in question.groups else None
        for name, dimension in report.groups.items()
    }
    return {"object": report.name, **report.result(part.measures), **asked}


def _mark(report: Report, question: Question, scope: Scope) -> str:
    return mark_of_buckets(scope, (report.name, question.width.granularity, question.groups, dict(question.filters)))


def _last(values: Mapping[str, list[str]], name: str) -> str | None:
    return values[name][-1] if name in values else None


def _number(text: str | None) -> int:
    """What it says in plain digits; -1 if that is no number, or one that nobody means."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,12}", text) else -1


def _time(field: str, text: str | None) -> datetime:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=min(_number(text), 1 << 33))
    if not EARLIEST <= moment < LATEST:
        raise wrong(field, f"{text!r} is no time; expected seconds since 1970, such as 1793491200")
    return moment


def _floor(moment: datetime, width: Width) -> datetime:
    return moment - (moment - datetime.fromtimestamp(0, UTC)) % width.length


def _limit(text: str | None, width: Width) -> int:
    if text is None:
        return width.default
    if not 1 <= _number(text) <= width.most:
        raise wrong("limit", f"{text!r} buckets; expected 1 to {width.most} of this width")
    return _number(text)
