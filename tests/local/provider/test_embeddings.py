import math

import pytest

from tollgate_local.provider.embeddings import unit_vector


@pytest.mark.parametrize("dimensions", [1, 8, 1_536])
def test_a_vector_has_length_one(dimensions: int) -> None:
    vector = unit_vector("a river", dimensions)
    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1)


def test_a_vector_is_of_its_text() -> None:
    assert unit_vector("a river", 8) == unit_vector("a river", 8) != unit_vector("a valley", 8)
