"""A circuit breaker that diverts requests from a failing target.

It affects only the order of targets and never rejects a request. If the breakers of all targets are open, the request
goes to the one that closes first, because the provider's own response tells the client more than a guess.
"""

import random


class CircuitBreaker:
    __slots__ = ("_failures", "_failures_to_open", "_open_s", "_open_until_s")

    def __init__(self, failures_to_open: int, open_s: float) -> None:
        """Create a closed breaker.

        Args:
            failures_to_open: consecutive failures that open it.
            open_s: seconds that it stays open. After that, a single failure opens it again.
        """
        self._failures_to_open = failures_to_open
        self._open_s = open_s
        self._failures = 0
        self._open_until_s = 0.0

    def remaining_open_s(self, now_s: float) -> float:
        """Return the seconds until the breaker closes; 0 if it is closed."""
        return max(0.0, self._open_until_s - now_s)

    def record_success(self) -> None:
        self._failures = 0
        self._open_until_s = 0.0

    def record_failure(self, now_s: float) -> None:
        self._failures += 1
        if self._failures >= self._failures_to_open:
            # Jitter, so that not all edges return to the target at the same moment.
            self.open_until(now_s + self._open_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret

    def open_until(self, moment_s: float) -> None:
        """Open the breaker until the given time, as a provider requests by `Retry-After`."""
        self._open_until_s = max(self._open_until_s, moment_s)
