"""The generic cell rate algorithm: a token bucket that stores a single number.

A bucket holds the units of one minute and refills evenly. It stores only the time at which it will be full; the
distance to that time is what was taken. The limit may therefore change between calls, as it does when edges start and
stop, and the bucket keeps its relative level.
"""

PERIOD_S = 60.0
# The rounding error of clock values, which may span years, is smaller than this.
_EPSILON_S = 1e-6


class Bucket:
    __slots__ = ("_full_at_s",)

    def __init__(self) -> None:
        self._full_at_s = 0.0

    def take(self, units: float, limit: float, now_s: float) -> float:
        """Take units if they are available and return 0; otherwise take nothing and return the seconds to wait.

        Args:
            units: a number above the capacity is available from a full bucket.
            limit: units per minute. Between 0 and 1 the bucket still holds one unit, at 0 none.
            now_s: the time of a monotonic clock.
        """
        if limit <= 0:
            return PERIOD_S
        capacity_s = max(PERIOD_S, PERIOD_S / limit)
        full_at_s = max(self._full_at_s, now_s) + min(units * PERIOD_S / limit, capacity_s)
        wait_s = full_at_s - now_s - capacity_s
        if wait_s > _EPSILON_S:
            return wait_s
        self._full_at_s = full_at_s
        return 0.0

    def correct(self, units: float, limit: float) -> None:
        """Take units that were already used, or return taken ones (negative). The bucket may go into debt."""
        if limit > 0:
            self._full_at_s += units * PERIOD_S / limit

    def remaining(self, limit: float, now_s: float) -> int:
        """Return the whole units that are available."""
        capacity = max(1.0, limit) if limit > 0 else 0.0
        return max(0, int(capacity - self.reset_s(now_s) * limit / PERIOD_S + _EPSILON_S))

    def reset_s(self, now_s: float) -> float:
        """Return the seconds until the bucket is full."""
        return max(0.0, self._full_at_s - now_s)
