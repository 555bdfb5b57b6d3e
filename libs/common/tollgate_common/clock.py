"""Times are UTC and whole milliseconds, so that they survive every store unchanged."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)
