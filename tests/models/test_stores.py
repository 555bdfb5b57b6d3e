"""The ledger's consumers and the outbox through every interleaving, and each of their rules shown to be needed."""

import pytest

from models.ledger_world import Bounds, LedgerRules, explore_ledger
from models.outbox_world import OutboxRules, explore_outbox


def test_each_record_is_posted_once() -> None:
    found = explore_ledger(LedgerRules(), Bounds())
    print(found)
    assert found.violation is None, found


LEDGER = [
    ("fence", "posted twice"),
    ("epoch", "took the partition over last found it moved"),
    ("resume_at_ledger", "stuck"),
    ("one_transaction", "posted twice"),
    ("post_again", "ahead of the ledger"),
    ("check_membership", "stuck"),
    ("drop_duplicates", "posted twice"),
]


@pytest.mark.parametrize(("rule", "violation"), LEDGER)
def test_without_each_rule_of_the_ledger_something_goes_wrong(rule: str, violation: str) -> None:
    found = explore_ledger(LedgerRules(**{rule: False}), Bounds())
    print(found)
    assert violation in str(found.violation)


def test_readers_come_to_the_newest_version() -> None:
    found = explore_outbox(OutboxRules())
    print(found)
    assert found.violation is None, found


OUTBOX = [
    ("row_in_transaction", "never was"),
    ("fence", "whoever starts now reads 1"),
    ("delete_after_publish", "whoever starts now reads 1"),
    ("version", "went back"),
]


@pytest.mark.parametrize(("rule", "violation"), OUTBOX)
def test_without_each_rule_of_the_outbox_something_goes_wrong(rule: str, violation: str) -> None:
    found = explore_outbox(OutboxRules(**{rule: False}))
    print(found)
    assert violation in str(found.violation)


def test_every_rule_has_a_counterexample() -> None:
    assert {rule for rule, _ in LEDGER} == set(LedgerRules._fields)
    assert {rule for rule, _ in OUTBOX} == set(OutboxRules._fields)
