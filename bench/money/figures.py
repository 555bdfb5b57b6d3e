"""The figures of measurements, and their table."""

import os
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """A value with a goal: the minimum, or the maximum if `at_most`. None means that there is no goal."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        is_met = self.value <= self.goal if self.at_most else self.value >= self.goal
        return f"goal {'≤' if self.at_most else '≥'} {self.goal:,.0f}: {'met' if is_met else 'MISSED'}"


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def show(figures: Sequence[Figure]) -> None:
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{os.cpu_count()} cores, load average {load}")
    for figure in figures:
        value = f"{figure.value:,.1f}" if figure.value < 1_000 else f"{figure.value:,.0f}"
        print(f"{figure.what:<58} {value:>10} {figure.unit:<10} {figure.verdict:<22} {figure.note}")
