"""The lease protocol through every interleaving, and each of its rules shown to be needed.

`PYTHONPATH=tests python -m models.large` runs the same models with larger bounds.
"""

import pytest

from models.explorer import Exploration
from models.grant_race import RaceRules, explore_race
from models.lease_calls import CallRules, State, explore_calls
from models.lease_life import Bounds, LifeRules, explore_life


def test_calls_over_a_network_that_loses_delays_and_repeats() -> None:
    found = explore_calls(CallRules())
    assert found.violation is None, found


@pytest.mark.parametrize(
    ("rule", "violation"),
    [
        ("absolute", "the edge never asked for more"),
        ("compare_rev", "the edge may spend 3, balance holds 2"),
        ("lower_first", "the edge may spend 1, balance holds 0"),
        ("raise_late", "the edge may spend 2, balance holds 1"),
        ("close_orphans", "stuck"),
    ],
)
def test_without_each_rule_of_a_call_something_goes_wrong(rule: str, violation: str) -> None:
    found: Exploration[State] = explore_calls(CallRules(**{rule: False}))
    assert violation in str(found.violation)


def test_grants_at_once() -> None:
    found = explore_race(RaceRules())
    assert found.violation is None, found


@pytest.mark.parametrize(
    ("rule", "violation"),
    [("test_the_row", "4 are held of 3"), ("one_transaction", "2 are held, leases hold 0")],
)
def test_without_each_rule_of_a_grant_something_goes_wrong(rule: str, violation: str) -> None:
    found = explore_race(RaceRules(**{rule: False}))
    assert violation in str(found.violation)


SMALL_WORLDS = {
    "a crash": Bounds(),
    "an outage of Kafka, a lost acknowledgement": Bounds(credit=1, crashes=0, outages=1, resends=1),
    "an edge that is paused, and an outage": Bounds(credit=1, crashes=0, false_alarms=1, outages=1),
    "an edge that is paused, and a reduction": Bounds(crashes=0, false_alarms=1, reduction=1),
    "a crash and a reduction": Bounds(reduction=1),
    "a crash and credit that expires": Bounds(requests=(1,), promo=1),
    "an edge that is paused, and credit that expires": Bounds(credit=1, crashes=0, false_alarms=1, outages=1, promo=1),
    "a reduction, and all credit expires": Bounds(requests=(1,), reduction=1, promo=2),
    "a crash, and a budget below the credit": Bounds(requests=(1, 1), budget=1, leases=2),
    "an edge that is paused, an outage and a budget": Bounds(crashes=0, false_alarms=1, outages=1, budget=1, leases=2),
    "a crash and a lost answer": Bounds(credit=1, lost_answers=1),
    "a spool that is lost": Bounds(credit=1, outages=1, lost_spools=1),
    "a second lease of a paused edge": Bounds(credit=1, requests=(2, 1), crashes=0, false_alarms=1),
}


@pytest.mark.parametrize("bounds", SMALL_WORLDS.values(), ids=SMALL_WORLDS.keys())
def test_edges_live_and_die_and_no_account_is_overspent(bounds: Bounds) -> None:
    found = explore_life(LifeRules(), bounds)
    assert found.violation is None, found


PAUSED = Bounds(credit=1, crashes=0, false_alarms=1)


@pytest.mark.parametrize(
    ("rule", "bounds", "violation"),
    [
        ("drop_duplicates", Bounds(crashes=0, resends=1), "0 posted, expected 1"),
        ("write_off", PAUSED, "held_nano=1"),
        ("hold_after_close", PAUSED, "1 written off, but only 0"),
        ("wait_for_consumption", PAUSED, "1 written off, but only 0"),
        ("read_ends_after_fence", PAUSED, "1 written off, but only 0"),
        ("refuse_the_fenced", Bounds(credit=1, requests=(1,), false_alarms=1), "stuck"),
        ("fence_the_silent", Bounds(credit=1), "stuck"),
        ("collect_what_is_due", Bounds(reduction=1), "1 are available while 1 are due"),
        ("reduce_only_available", Bounds(reduction=1), "held_nano=2"),
        ("expire_only_available", Bounds(promo=2), "with holds of 1"),
        ("burn_before_expiry", Bounds(requests=(1,), crashes=0, promo=1), "remain of the grants"),
        ("burn_while_expiring", Bounds(requests=(1,), crashes=0, promo=2), "1 count as expiring, 0 remain"),
        ("look_at_budgets", Bounds(crashes=0, budget=1), "0 spent and 2 held of a budget of 1"),
        ("hold_in_budgets", Bounds(crashes=0, budget=1), "of 0 spent and 1 held"),
        ("release_in_budgets", Bounds(requests=(1,), budget=1), "of 0 spent and 0 held"),
        ("expire_what_comes_back", Bounds(promo=1, requests=(1,), credit=1), "1 are available while 1 are expiring"),
    ],
)
def test_without_each_rule_of_life_something_goes_wrong(rule: str, bounds: Bounds, violation: str) -> None:
    found = explore_life(LifeRules(**{rule: False}), bounds)
    assert violation in str(found.violation)
