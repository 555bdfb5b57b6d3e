"""Sequence numbers through every interleaving, and each of their rules shown to be needed."""

import pytest

from models.edge_log import Bounds, LogRules, explore_log

WORLDS = {
    "an outage, a lost acknowledgement, a crash": Bounds(),
    "a dead letter that is sent again": Bounds(poison=1),
    "two of each": Bounds(events=4, lost_acks=2, outages=2),
}


@pytest.mark.parametrize("bounds", WORLDS.values(), ids=WORLDS.keys())
def test_every_answered_event_counts_once(bounds: Bounds) -> None:
    found = explore_log(LogRules(), bounds)
    assert found.violation is None, found


COUNTEREXAMPLES = [
    ("keep_stamp", Bounds(), "counts twice"),
    ("spool_before_later", Bounds(), "an alarm for ever"),
    ("answer_when_durable", Bounds(), "answered and lost"),
    ("count_durable_only", Bounds(), "an alarm for ever"),
    ("boot_anew", Bounds(), "answered and lost"),
    ("keep_gap", Bounds(poison=1), "answered and lost"),
    ("drop_duplicates", Bounds(), "counts twice"),
]


@pytest.mark.parametrize(("rule", "bounds", "violation"), COUNTEREXAMPLES)
def test_without_each_rule_something_goes_wrong(rule: str, bounds: Bounds, violation: str) -> None:
    found = explore_log(LogRules(**{rule: False}), bounds)
    print(found)
    assert violation in str(found.violation)


def test_every_rule_has_a_counterexample() -> None:
    assert {rule for rule, _, _ in COUNTEREXAMPLES} == set(LogRules._fields)
