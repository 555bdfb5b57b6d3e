"""Clocks. Times are UTC in whole milliseconds, so every store keeps them unchanged. Durations use a monotonic clock."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def boot_clock_s() -> float:
    """Return the seconds of a monotonic clock that also advances during suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def rfc3339(at: datetime) -> str:
    """Format a time for JSON: `2026-12-01T00:00:00Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
