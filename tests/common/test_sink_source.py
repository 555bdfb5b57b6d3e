"""A projection that does not say what its rows say is told, and one that only moves is not."""

from collections.abc import Mapping, Sequence

import pytest

from tollgate_common.reconciliation.sink_source import projection_drifts
from tollgate_common.reconciliation.source import Drift

Sums = Sequence[Sequence[int]]
RIGHT: Sums = [(1, 10, 100), (2, 20, 200)]


async def drifts(before: Sums, rows: Sums, after: Sums) -> Sequence[Drift]:
    """Of a store whose projection says `before`, then `after`, and whose rows add up to `rows` meanwhile."""
    answers = iter([(1, before), (0, rows), (1, after)])

    async def sums(settings: Mapping[str, int]) -> Sums:
        uses_projection, answer = next(answers)
        assert settings == {"optimize_use_projections": uses_projection}
        return answer

    return await projection_drifts(sums, "charges by day", ("rows", "amount_nano"))


async def test_a_projection_that_agrees_is_no_difference() -> None:
    assert await drifts(RIGHT, RIGHT, RIGHT) == []


@pytest.mark.parametrize(
    ("projection", "found"),
    [
        ([(1, 10, 100), (2, 20, 201)], [("amount_nano of charges by day", "2", 201, 200)]),
        ([(1, 10, 100)], [("rows of charges by day", "2", 0, 20), ("amount_nano of charges by day", "2", 0, 200)]),
        (
            [*RIGHT, (3, 1, 0)],
            [("rows of charges by day", "3", 1, 0)],
        ),
    ],
    ids=["another sum", "a group that is missing", "a group too many"],
)
async def test_each_damage_is_named(projection: Sums, found: list[tuple[str, str, int, int]]) -> None:
    told = await drifts(projection, RIGHT, projection)
    assert [(drift.what, drift.where, drift.stored, drift.rows) for drift in told] == found


async def test_a_group_that_moves_meanwhile_is_left_to_the_next_reconciliation() -> None:
    assert await drifts(RIGHT, [(1, 10, 100), (2, 21, 210)], [(1, 10, 100), (2, 21, 210)]) == []
