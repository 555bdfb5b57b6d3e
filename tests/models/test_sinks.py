"""The sink protocol through every interleaving, and each of its rules shown to be needed.

`pytest -s` shows the traces: each is a shortest way to lose or double a row without the rule.
`PYTHONPATH=tests python -m models.large` runs the same model with larger bounds.
"""

import pytest

from models.sink_rules import Bounds, SinkRules
from models.sink_world import explore_sinks

# The shortest times: an insert lands before its deadline or never, and a token is known one tick longer.
DUPLICATES = Bounds(late=0, runs=0, window=2)
ONE, TWO, OLD = (DUPLICATES._replace(records=records) for records in ("one", "two", "old"))
LONGER = Bounds(records="one")

SMALL_WORLDS = {
    "duplicates, gaps, and blocks of any size": DUPLICATES,
    "inserts that run beyond their deadline, and land when their sender is gone": LONGER,
    "an engine that dies twice between log and rename": ONE._replace(kills=2),
    "an engine that dies, and a month that turns": ONE._replace(kills=1, months=1),
    "records that have waited longer than their boot is remembered": OLD,
    "a committed offset that is set back": ONE._replace(resets=1),
}


@pytest.mark.parametrize("bounds", SMALL_WORLDS.values(), ids=SMALL_WORLDS.keys())
def test_sinks_live_and_die_and_each_record_is_one_row(bounds: Bounds) -> None:
    found = explore_sinks(SinkRules(), bounds)
    assert found.violation is None, found


TWICE, LOST = "a row twice", "are lost"


# Rules that are switched off, in which world, and what goes wrong.
COUNTEREXAMPLES = [
    ("drop_duplicates", DUPLICATES, TWICE),
    ("judge_by_record_time", OLD, TWICE),
    # Where rows beyond the declared block stop a sink, this is what a missing declaration comes to.
    ("declare", TWO, "stopped without need"),
    ("declare stop_at_rows_beyond", TWO, TWICE),
    ("stop_at_rows_beyond", TWO._replace(resets=1), TWICE),
    ("resume_at_commit", TWO, TWICE),
    ("month_of_declaration", ONE._replace(months=1), TWICE),
    ("one_part", TWO, "stopped without need"),
    ("token", ONE, TWICE),
    ("constraint", ONE, TWICE),
    ("deadline_before_commit", ONE, TWICE),
    ("keep_deadline", ONE, TWICE),
    ("send_once", ONE._replace(kills=1), LOST),
    ("read_back", ONE._replace(kills=1), LOST),
    ("wait_before_fresh_token", ONE._replace(kills=1), TWICE),
    ("declare_fresh_token", ONE._replace(kills=1), TWICE),
    ("commit_when_durable", ONE, LOST),
    ("advance_when_durable", ONE, LOST),
    ("group", TWO, TWICE),
    ("refuse_the_expelled", TWO, TWICE),
    ("end_before_rejoin", TWO, TWICE),
]


@pytest.mark.parametrize(("rules", "bounds", "violation"), COUNTEREXAMPLES)
def test_without_each_rule_a_row_is_lost_or_doubled(rules: str, bounds: Bounds, violation: str) -> None:
    found = explore_sinks(SinkRules(**dict.fromkeys(rules.split(), False)), bounds)
    print(found)
    assert violation in str(found.violation)


def test_every_rule_has_a_counterexample() -> None:
    assert {rule for rules, _, _ in COUNTEREXAMPLES for rule in rules.split()} == set(SinkRules._fields)


def test_a_token_must_be_known_for_longer_than_its_insert_can_land() -> None:
    """The window of 3 ticks that suffices is that of a deadline of 1 and a running time of 1."""
    found = explore_sinks(SinkRules(), LONGER._replace(window=2))
    print(found)
    assert TWICE in str(found.violation)
