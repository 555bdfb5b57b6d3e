"""Exports: all requests of a range as a file. The response passes on the output of the engine, whatever its size."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from fastapi import Response

from tollgate_analytics.api.streaming_response import stream_response
from tollgate_analytics.query.parameters import invalid_parameter
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import Store
from tollgate_analytics.query.usage_query import Filters, TimeRange

MAX_EXPORT = timedelta(days=92)


class FileFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


ENGINE_FORMATS: Mapping[FileFormat, str] = {
    FileFormat.CSV: "CSVWithNames",
    FileFormat.JSONL: "JSONEachRow",
    FileFormat.PARQUET: "Parquet",
}
MEDIA_TYPES: Mapping[FileFormat, str] = {
    FileFormat.CSV: "text/csv; charset=utf-8; header=present",
    FileFormat.JSONL: "application/jsonl",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}


async def download(
    store: Store, scope: Scope, time_range: TimeRange, filters: Filters, file_format: FileFormat
) -> Response:
    """Return the file once the store has begun to write it, so that an early failure still gets its own status.

    Raises:
        Problem: 400 if the range is too long; otherwise as `Store.export`.
    """
    if time_range.end - time_range.start > MAX_EXPORT:
        days = -(-(time_range.end - time_range.start) // timedelta(days=1))
        raise invalid_parameter(
            "start", f"the range is too long: {days} days; an export may span {MAX_EXPORT.days} days"
        )
    name = f"requests-{time_range.start:%Y%m%dT%H%M%S}-{time_range.end:%Y%m%dT%H%M%S}.{file_format}"
    return await stream_response(
        store.export(scope, time_range, filters, ENGINE_FORMATS[file_format]),
        MEDIA_TYPES[file_format],
        {"Content-Disposition": f'attachment; filename="{name}"'},
    )
