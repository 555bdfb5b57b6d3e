"""The roll-up of `request_events` into `usage_hours`: sums by hour of the rows with a deadline in a given range.

Guarantee: each row counts in `usage_hours` once or not yet; reports add the rows that do not count yet. The newest
`until` in `usage_hours` records how far the roll-up has come.

* Each row carries a deadline for its insert (`insert_by`), and the table rejects the row after it. Once a deadline has
  passed by the engine's clock, with a margin for inserts that began in time, no more rows below it can appear.
* A roll-up is one insert of one part. It appears completely, with its `until`, or not at all.
* The deduplication token of a roll-up is its beginning. If two instances roll up at once, or a first attempt arrives
  late, the engine stores one of them. It deduplicates within a partition only, and `usage_hours` is partitioned by the
  month of `until`. Therefore the rows alone determine that month (`_month_end`), not the time of the attempt.

Crash window: none. The next roll-up begins at the newest `until`.
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
from tollgate_analytics.times import end_of_month, from_milliseconds, milliseconds
from tollgate_common.kafka.consumer import Consumer
from tollgate_common.retries import repeat
from tollgate_common.topics import Topic

log = logging.getLogger(__name__)

# Maximum time after its deadline at which an insert may still appear: its 30 s timeout, clock skew, a slow disk.
SETTLED_AFTER = timedelta(minutes=3)
# An hour's rows may be inserted until two minutes after it. With this cutoff, most hours become one row of sums each.
CUTOFF_OFFSET = timedelta(minutes=2, seconds=30)
MAX_SPAN = timedelta(days=1)
# The sums of this many rows fit into one part.
MAX_ROWS = 1_000_000
INTERVAL_S = 30.0
# Long enough for a concurrent insert with the same token to become visible.
RETRY_DELAY_S = 2.0
SINGLE_PART_SETTINGS = {
    "async_insert": 0,
    "max_threads": 1,
    "max_insert_threads": 1,
    "max_execution_time": 120,
    "min_insert_block_size_rows": 2 * MAX_ROWS,
    "min_insert_block_size_bytes": 4 << 30,
}


class Progress(NamedTuple):
    """The newest `until`, the first deadline of the rows that are not rolled up yet, and the engine's clock."""

    rolled_up: datetime
    first: datetime | None
    now: datetime


async def run(clickhouse: AsyncClient, is_leader: Callable[[], bool]) -> None:
    """Roll up settled rows until canceled. Retry while the store is unavailable."""

    async def turn() -> None:
        while is_leader() and await roll_up(clickhouse):
            pass

    await repeat(turn, "the roll-up of usage", ClickHouseError, OSError, interval_s=INTERVAL_S)


async def roll_up(clickhouse: AsyncClient, settled_after: timedelta = SETTLED_AFTER) -> bool:
    """Roll up the next settled rows if a whole hour of them is there. Return whether it was."""
    progress = await find_progress(clickhouse)
    if progress.first is None:
        return False
    until = last_cutoff(min(progress.now - settled_after, progress.first + MAX_SPAN))
    if until <= progress.first:
        return False
    until = min(until, _month_end(progress.first))
    since = progress.rolled_up
    await insert_sums(clickhouse, since, await _limit_rows(clickhouse, progress.first, until))
    return True


def is_leader(consumer: Consumer, prefix: str) -> bool:
    """Whether this instance runs the jobs that run once for all instances: it is the one with the first partition."""
    return TopicPartition(Topic.REQUESTS.named(prefix), 0) in consumer.lag()


async def find_progress(clickhouse: AsyncClient) -> Progress:
    rolled_up, first, now = (await clickhouse.query(SQL["roll_up_state"])).result_rows[0]
    return Progress(*(moment and moment.replace(tzinfo=UTC) for moment in (rolled_up, first, now)))


async def find_rolled_up_until(clickhouse: AsyncClient) -> datetime:
    moment: datetime = (await clickhouse.query(SQL["rolled_up"])).result_rows[0][0]
    return moment.replace(tzinfo=UTC)


async def insert_sums(clickhouse: AsyncClient, since: datetime, until: datetime) -> None:
    """Store the sums of the settled rows with a deadline in `[since, until)`, and verify that they are stored."""
    attempt = 0
    while await find_rolled_up_until(clickhouse) == since:
        # An engine that crashes between recording a token and storing its part would reject the token forever.
        token = f"usage_hours:{milliseconds(since)}" + (f"#{attempt}" if attempt else "")
        await clickhouse.command(
            SQL["roll_up"],
            parameters={"since_ms": milliseconds(since), "until_ms": milliseconds(until)},
            settings=SINGLE_PART_SETTINGS | {"insert_deduplication_token": token},
        )
        if await find_rolled_up_until(clickhouse) != since:
            return
        attempt += 1
        await asyncio.sleep(RETRY_DELAY_S)


def last_cutoff(moment: datetime) -> datetime:
    """Return the last cutoff at or before a moment."""
    return (moment - CUTOFF_OFFSET).replace(minute=0, second=0, microsecond=0) + CUTOFF_OFFSET


def _month_end(first: datetime) -> datetime:
    """Return the last moment at which a roll-up of rows from `first` on may end.

    All ends from 1 ms after `first` to this one lie in the same month, so concurrent attempts write the same partition.
    """
    next_moment = first + timedelta(milliseconds=1)
    return end_of_month(next_moment.year * 100 + next_moment.month) - timedelta(milliseconds=1)


async def _limit_rows(clickhouse: AsyncClient, first: datetime, until: datetime) -> datetime:
    """Return `until`, or an earlier end if that would include too many rows. Prefer whole hours."""
    while True:
        found = await clickhouse.query(
            SQL["roll_up_count"], parameters={"since_ms": milliseconds(first), "until_ms": milliseconds(until)}
        )
        length = milliseconds(until) - milliseconds(first)
        if found.result_rows[0][0] <= MAX_ROWS or length <= 1:
            return until
        middle = from_milliseconds(milliseconds(first) + (length + 1) // 2)
        until = last_cutoff(middle) if last_cutoff(middle) > first else middle
