"""A circuit breaker: remembers that a target fails, so that requests go elsewhere while it does.

It steers and never refuses: where every target of a model is avoided, the one that may soonest be used again is tried,
for the provider's own answer tells the client more than a guess.
"""

import random


class CircuitBreaker:
    __slots__ = ("_failures", "_failures_to_open", "_open_s", "_open_until_s")

    def __init__(self, failures_to_open: int, open_s: float) -> None:
        """Start closed.

        Args:
            failures_to_open: in a row.
            open_s: how long the target is avoided then; afterwards one more failure opens it again.
        """
        self._failures_to_open = failures_to_open
        self._open_s = open_s
        self._failures = 0
        self._open_until_s = 0.0

    def remaining_open_s(self, now_s: float) -> float:
        """Seconds for which the target is still to be avoided; 0 when it may be used."""
        return max(0.0, self._open_until_s - now_s)

    def record_success(self) -> None:
        self._failures = 0
        self._open_until_s = 0.0

    def record_failure(self, now_s: float) -> None:
        self._failures += 1
        if self._failures >= self._failures_to_open:
            # Not all edges come back in the same moment.
            self.open_until(now_s + self._open_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret

    def open_until(self, moment_s: float) -> None:
        """The provider itself said when it may be asked again."""
        self._open_until_s = max(self._open_until_s, moment_s)
