"""request_events → usage_hours: sums by hour, of rows that were inserted between two moments.

Guarantee: each row counts in `usage_hours` once, or not yet; a report adds the latter from the rows. What has been
rolled up is told by `usage_hours` itself: the newest `until` in it.

* A row says until when it might be inserted (`insert_by`), and the table refuses it later. So the rows below a moment
  that has passed, by the engine's clock and with room for an insert that had begun in time, are all that there will be.
* A roll-up is one insert of one part: it is there whole, with its `until`, or not at all.
* Its token is where it begins. Of two instances that do it at once, or one whose first try lands late, one is stored.

Crash window: none that needs anything: whoever comes next begins at the newest `until`.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiokafka import TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from tollgate_analytics.statements import SQL
from tollgate_analytics.times import from_milliseconds, milliseconds
from tollgate_common.kafka.consumer import Consumer
from tollgate_common.topics import Topic

log = logging.getLogger(__name__)

# How long after its deadline an insert may still be landing: its own time-out of 30 s, clocks, and a slow disk.
SETTLED_AFTER = timedelta(minutes=3)
# An hour's rows may be inserted until two minutes after it: so cut, an hour and combination is one row of sums.
CUT_AT = timedelta(minutes=2, seconds=30)
LONGEST = timedelta(days=1)
# So that the sums fit into one part.
MAX_ROWS = 1_000_000
EVERY_S = 30.0
# Long enough for an insert under the same token, which the engine is putting in place, to show.
SHOWS_WITHIN_S = 2.0
ONE_PART = {
    "async_insert": 0,
    "max_threads": 1,
    "max_insert_threads": 1,
    "max_execution_time": 120,
    "min_insert_block_size_rows": 2 * MAX_ROWS,
    "min_insert_block_size_bytes": 4 << 30,
}


class Progress(NamedTuple):
    """Up to where rows are rolled up, where those begin that are not, and the engine's clock."""

    rolled_up: datetime
    first: datetime | None
    now: datetime


async def run(clickhouse: AsyncClient, is_leader: Callable[[], bool]) -> None:
    """Roll up what has settled, until cancelled. A store that does not answer is asked again."""
    while True:
        try:
            while is_leader() and await roll_up(clickhouse):
                pass
        except (ClickHouseError, OSError) as error:
            log.warning("usage was not rolled up: %s", error)
        await asyncio.sleep(EVERY_S)


async def roll_up(clickhouse: AsyncClient, settled_after: timedelta = SETTLED_AFTER) -> bool:
    """Roll up the next rows that have settled, if there are enough for an hour; whether there were."""
    progress = await find_progress(clickhouse)
    if progress.first is None:
        return False
    until = last_cut(min(progress.now - settled_after, progress.first + LONGEST))
    if until <= progress.first:
        return False
    since = progress.rolled_up
    await insert_sums(clickhouse, since, await _fitting(clickhouse, progress.first, until))
    return True


def leads(consumer: Consumer, prefix: str) -> bool:
    """Whether this instance does what one does for all: it holds the first partition."""
    return TopicPartition(Topic.REQUESTS.named(prefix), 0) in consumer.lag()


async def find_progress(clickhouse: AsyncClient) -> Progress:
    rolled_up, first, now = (await clickhouse.query(SQL["roll_up_state"])).result_rows[0]
    return Progress(*(moment and moment.replace(tzinfo=UTC) for moment in (rolled_up, first, now)))


async def find_rolled_up(clickhouse: AsyncClient) -> datetime:
    moment: datetime = (await clickhouse.query(SQL["rolled_up"])).result_rows[0][0]
    return moment.replace(tzinfo=UTC)


async def insert_sums(clickhouse: AsyncClient, since: datetime, until: datetime) -> None:
    """Store the sums of the rows inserted in `[since, until)`, which must have settled, and see that they are there."""
    attempt = 0
    while await find_rolled_up(clickhouse) == since:
        # An engine that dies between noting a token and storing its part drops what comes under it again.
        token = f"usage_hours:{milliseconds(since)}" + (f"#{attempt}" if attempt else "")
        await clickhouse.command(
            SQL["roll_up"],
            parameters={"since_ms": milliseconds(since), "until_ms": milliseconds(until)},
            settings=ONE_PART | {"insert_deduplication_token": token},
        )
        if await find_rolled_up(clickhouse) != since:
            return
        attempt += 1
        await asyncio.sleep(SHOWS_WITHIN_S)


def last_cut(moment: datetime) -> datetime:
    """The last moment up to this one at which roll-ups end."""
    return (moment - CUT_AT).replace(minute=0, second=0, microsecond=0) + CUT_AT


async def _fitting(clickhouse: AsyncClient, first: datetime, until: datetime) -> datetime:
    """An end, this one if it can be, below which there are not too many rows; whole hours while they fit."""
    while True:
        found = await clickhouse.query(
            SQL["roll_up_count"], parameters={"since_ms": milliseconds(first), "until_ms": milliseconds(until)}
        )
        length = milliseconds(until) - milliseconds(first)
        if found.result_rows[0][0] <= MAX_ROWS or length <= 1:
            return until
        middle = from_milliseconds(milliseconds(first) + (length + 1) // 2)
        until = last_cut(middle) if last_cut(middle) > first else middle
