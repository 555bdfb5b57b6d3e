"""Times are UTC and whole milliseconds, so that they survive every store unchanged. Lengths of time are by another
clock, which nobody sets."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def boot_clock_s() -> float:
    """Seconds on a clock that runs through suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def rfc3339(at: datetime) -> str:
    """A UTC time as JSON has it: `2026-12-01T00:00:00Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
