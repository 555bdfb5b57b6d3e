"""Many events at once say what each of them says."""

from typing import NamedTuple

from tollgate_common.clickhouse.columns import by_kind


class One(NamedTuple):
    seq: int


class Other(NamedTuple):
    seq: int


def test_events_of_a_kind_keep_their_order_and_their_places() -> None:
    one, two, three, four = events = [Other(1), One(2), Other(3), One(4)]
    assert list(by_kind(events).items()) == [(Other, ([0, 2], [one, three])), (One, ([1, 3], [two, four]))]
    assert by_kind([two, four]) == {One: (range(2), [two, four])}
