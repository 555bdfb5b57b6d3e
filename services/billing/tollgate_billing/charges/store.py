"""The rows of `charges` in ClickHouse, as pages of one account's charges."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient

from tollgate_billing.database import SQL

StoredCharge = dict[str, Any]


class Position(NamedTuple):
    """The place of a charge in the list of its account's charges. Pages start and end at one."""

    at: datetime
    request_id: str
    offset: int


# Sorts above every charge, because `check_fits` bounds their time.
NEWEST = Position(datetime(2200, 1, 1, tzinfo=UTC), "", 0)


class Page(NamedTuple):
    rows: list[StoredCharge]
    """Rows with the column names of `sql/charges_page.sql`."""
    next: Position | None
    """The start of the next page; None if this is the last."""


class Charges:
    def __init__(self, clickhouse: AsyncClient) -> None:
        self._clickhouse = clickhouse

    async def page(self, account_id: str, before: Position | None, limit: int) -> Page:
        """Read one account's charges older than `before`, newest first."""
        before = before or NEWEST
        result = await self._clickhouse.query(
            SQL["charges_page"],
            parameters={
                "account_id": account_id,
                "at_ms": round(before.at.timestamp() * 1000),
                "request_id": before.request_id,
                "offset": before.offset,
                # One more row than requested shows whether there is a next page.
                "limit": limit + 1,
            },
            # The default returns naive times, which would be read as local times.
            tz_mode="aware",
        )
        rows = list(result.named_results())
        if len(rows) <= limit:
            return Page(rows, None)
        last = rows[limit - 1]
        return Page(rows[:limit], Position(last["at"], last["request_id"], last["offset"]))
