"""Exports: every request of a range as a file, passed on as the engine writes it, so that no size fills the memory."""

from contextlib import AsyncExitStack
from datetime import timedelta
from enum import StrEnum

from tollgate_analytics.queries import Filters, Range, wrong
from tollgate_analytics.scopes import Scope
from tollgate_analytics.store import Store
from tollgate_analytics.streaming import HoldingResponse, holding

MAX_EXPORT = timedelta(days=92)


class FileFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


# The engine's name of each, and its media type.
ENGINE_FORMAT = {FileFormat.CSV: "CSVWithNames", FileFormat.JSONL: "JSONEachRow", FileFormat.PARQUET: "Parquet"}
MEDIA_TYPE = {
    FileFormat.CSV: "text/csv; charset=utf-8; header=present",
    FileFormat.JSONL: "application/jsonl",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}


async def download(
    store: Store, scope: Scope, over: Range, filters: Filters, file_format: FileFormat
) -> HoldingResponse:
    """The file, once the store has begun to write it: what is wrong from the beginning is an answer of its own.

    Raises:
        Problem: 400, the range is too long; as `Store.export`.
    """
    if over.end - over.start > MAX_EXPORT:
        raise wrong("start", f"the range is too long: an export may span {MAX_EXPORT.days} days at most")
    held = AsyncExitStack()
    pieces = await held.enter_async_context(store.export(scope, over, filters, ENGINE_FORMAT[file_format]))

    name = f"requests-{over.start:%Y%m%dT%H%M%S}-{over.end:%Y%m%dT%H%M%S}.{file_format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HoldingResponse(await holding(held, pieces), media_type=MEDIA_TYPE[file_format], headers=headers)
