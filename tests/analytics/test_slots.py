"""A statement has the slots that its question uses, and no others."""

import pytest

from analytics.test_tenancy import TEXTS
from tollgate_analytics.dimensions import Dimension
from tollgate_analytics.queries import MAX_DIMENSIONS
from tollgate_analytics.slots import SQL, of_filters, statement

WITH_SLOTS = sorted(name for name, text in TEXTS.items() if "filter_1" in text)


@pytest.mark.parametrize("name", WITH_SLOTS)
def test_slots_that_are_not_used_are_left_out(name: str) -> None:
    for count in range(1, MAX_DIMENSIONS + 1):
        filters = {dimension: ["x"] for dimension in list(Dimension)[:count]}
        groups = {f"group_{slot}": "model" for slot in range(1, count + 1)}
        text = statement(name, of_filters(filters) | groups)
        for slot in range(1, MAX_DIMENSIONS + 1):
            for kind in ("filter", "group"):
                assert (f"{kind}_{slot}" in text) == (slot <= count and f"{kind}_1" in TEXTS[name])
    assert text == TEXTS[name].rstrip("\n")


def test_other_statements_are_whole() -> None:
    assert statement("newest", {}) == SQL["newest"].rstrip("\n")
