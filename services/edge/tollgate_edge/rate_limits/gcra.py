"""A rate limit as one number: the generic cell rate algorithm, which is a token bucket that stores no level.

A bucket holds a minute's worth of units and fills evenly. All that is kept is the moment at which it will be full; what
is missing until then is what was taken. So a limit may change from one call to the next, as it does when edges come and
go, and the bucket keeps the share that is left of it.
"""

PERIOD_S = 60.0
# Moments are seconds of a clock that may have run for years: sums of them are exact to less than this.
_EXACT_S = 1e-6


class Bucket:
    __slots__ = ("_full_at_s",)

    def __init__(self) -> None:
        self._full_at_s = 0.0

    def take(self, units: float, limit: float, now_s: float) -> float:
        """Take units if they are there. Returns 0, or the seconds until they would be; then nothing is taken.

        Args:
            units: more than the bucket can hold are had from a full one.
            limit: units a minute. Below 1 the bucket still holds one, at 0 nothing.
            now_s: of any clock that does not go back.
        """
        if limit <= 0:
            return PERIOD_S
        capacity_s = max(PERIOD_S, PERIOD_S / limit)
        full_at_s = max(self._full_at_s, now_s) + min(units * PERIOD_S / limit, capacity_s)
        wait_s = full_at_s - now_s - capacity_s
        if wait_s > _EXACT_S:
            return wait_s
        self._full_at_s = full_at_s
        return 0.0

    def correct(self, units: float, limit: float) -> None:
        """Take units that have been used already, or give back taken ones (below 0). It may leave a debt."""
        if limit > 0:
            self._full_at_s += units * PERIOD_S / limit

    def remaining(self, limit: float, now_s: float) -> int:
        """Whole units that could be taken now."""
        capacity = max(1.0, limit) if limit > 0 else 0.0
        return max(0, int(capacity - self.reset_s(now_s) * limit / PERIOD_S + _EXACT_S))

    def reset_s(self, now_s: float) -> float:
        """Seconds until the bucket is full."""
        return max(0.0, self._full_at_s - now_s)
