"""The rules of leases one by one; tests/models runs them through every interleaving."""

import pytest

from tollgate_balance.budgets.windows import BudgetWindow, ends_in_ms
from tollgate_balance.leases.rules import (
    Answer,
    Grant,
    Lease,
    UpdateLease,
    grant,
    release,
    settle,
    size,
    update_lease,
)
from tollgate_balance.ledger.accounts import Account
from tollgate_common.lease_protocol import LeaseOutcome, LeaseState


def account(posted_nano: int, held_nano: int = 0, *, unburned_nano: int = 0) -> Account:
    return Account("a", posted_nano, held_nano, unburned_nano=unburned_nano)


def lease(limit_nano: int, settled_nano: int = 0, state: LeaseState = LeaseState.OPEN, rev: int = 1) -> Lease:
    return Lease("l", "a", "b", state, limit_nano, settled_nano, rev)


def wanting(needed_nano: int, wanted_nano: int = 0) -> Grant:
    return Grant("l", "a", "b", needed_nano, wanted_nano)


def setting(limit_nano: int, *, rev: int = 2, wanted_nano: int = 0, close: bool = False) -> UpdateLease:
    return UpdateLease("l", "a", "b", limit_nano, wanted_nano, close, rev)


@pytest.mark.parametrize(
    ("available", "needed", "wanted", "edges", "expected"),
    [
        (100, 10, 0, 1, 10),  # no more than is wanted
        (100, 10, 30, 1, 30),
        (100, 10, 90, 1, 50),  # a share is left for the other edge
        (100, 10, 90, 4, 20),
        (100, 80, 90, 4, 80),  # what the request needs, always
        (0, 0, 90, 1, 0),
    ],
)
def test_the_size_of_a_grant(available: int, needed: int, wanted: int, edges: int, expected: int) -> None:
    assert size(available, needed, wanted, edges) == expected


def test_a_grant_holds_and_its_repetition_does_not_hold_again() -> None:
    first = grant(account(100), None, wanting(60), 1)
    assert first == Answer(LeaseOutcome.DONE, account(100, 60), lease(60))
    assert grant(first.account, first.lease, wanting(60), 1) == first


def test_spent_and_held_are_told_apart() -> None:
    assert grant(account(100, 90), None, wanting(100), 1).outcome is LeaseOutcome.RETRY
    assert grant(account(100, 90), None, wanting(101), 1).outcome is LeaseOutcome.INSUFFICIENT
    extending = [update_lease(account(100, 90), lease(40), setting(amount), 1).outcome for amount in (50, 51, 100, 101)]
    assert extending == [LeaseOutcome.DONE, LeaseOutcome.RETRY, LeaseOutcome.RETRY, LeaseOutcome.INSUFFICIENT]


def test_extending_takes_what_is_liked_if_it_leaves_a_share() -> None:
    answer = update_lease(account(100, 20), lease(30, 10), setting(35, wanted_nano=200), 3)
    assert answer == Answer(LeaseOutcome.DONE, account(100, 40), lease(50, 10, rev=2))


def test_shrinking_gives_back_and_not_below_what_is_settled() -> None:
    assert update_lease(account(100, 50), lease(50), setting(20), 1).account.held_nano == 20
    assert update_lease(account(100, 40), lease(50, 10), setting(5), 1) == Answer(
        LeaseOutcome.DONE, account(100, 0), lease(5, 10, rev=2)
    )


def test_a_closed_lease_holds_exactly_the_usage_on_its_way() -> None:
    closed = update_lease(account(100, 50), lease(50), setting(30, close=True), 1)
    assert closed == Answer(LeaseOutcome.DONE, account(100, 30), lease(30, state=LeaseState.CLOSED, rev=2))
    assert closed.lease is not None
    charged, [settled], _ = settle(closed.account, {"l": closed.lease}, {"l": 30})
    assert charged == (account(70, unburned_nano=30), 0)
    assert settled.hold_nano == 0


def test_closing_with_more_than_was_authorised_holds_what_is_available_of_it() -> None:
    assert update_lease(account(100, 50), lease(50), setting(70, close=True), 1).account == account(100, 70)
    answer = update_lease(account(60, 40), lease(50, 10), setting(90, close=True), 1)
    assert answer == Answer(LeaseOutcome.DONE, account(60, 60), lease(70, 10, LeaseState.CLOSED, 2))


@pytest.mark.parametrize(
    ("known", "call", "expected"),
    [
        (lease(20, rev=2), setting(20), LeaseOutcome.DONE),  # this call, sent again
        (lease(25, rev=2), setting(20, wanted_nano=30), LeaseOutcome.DONE),
        (lease(20, rev=2, state=LeaseState.CLOSED), setting(20, close=True), LeaseOutcome.DONE),
        (lease(40, rev=2), setting(20), LeaseOutcome.CONFLICT),  # another call had this rev
        (lease(20, rev=3), setting(20), LeaseOutcome.CONFLICT),  # a copy that was long under way
        (lease(20, rev=2), setting(20, rev=4), LeaseOutcome.CONFLICT),
        (lease(20, rev=2), setting(20, close=True), LeaseOutcome.CONFLICT),
        (lease(20, rev=2, state=LeaseState.CLOSED), setting(20), LeaseOutcome.CONFLICT),
        (lease(20, rev=1, state=LeaseState.CLOSED), setting(30), LeaseOutcome.CONFLICT),
        (lease(20, rev=1, state=LeaseState.RELEASED), setting(10), LeaseOutcome.CONFLICT),
    ],
)
def test_a_call_changes_a_lease_only_from_the_rev_before_it(
    known: Lease, call: UpdateLease, expected: LeaseOutcome
) -> None:
    before = account(100, 40)
    assert update_lease(before, known, call, 1) == Answer(expected, before, known)


def test_usage_is_covered_by_its_own_lease_then_by_what_is_available() -> None:
    leases = {"l": lease(30), "m": lease(20)._replace(lease_id="m"), "x": lease(9)._replace(account_id="x")}
    charged, settled, _ = settle(account(60, 50), leases, {"l": 35, "m": 5, None: 2, "x": 1, "unknown": 1})
    # Beyond its lease's 30: 5; without a lease: 4; available: 10.
    assert charged == (account(60 - 44, 50 - 35, unburned_nano=44), 0)
    assert [(item.lease_id, item.settled_nano) for item in settled] == [("l", 35), ("m", 5)]


def test_usage_after_the_release_finds_no_hold() -> None:
    released, [gone], _ = release(account(100, 50), [lease(50)])
    assert released == account(100, 0)
    charged, [settled], _ = settle(released._replace(posted_nano=20), {"l": gone}, {"l": 50})
    assert charged == (account(0, unburned_nano=20), 30)
    assert settled.settled_nano == 50


def window(
    amount_nano: int, spent_nano: int = 0, held_nano: int = 0, *, number: int = 1, ends_in_ms: int | None = None
) -> BudgetWindow:
    return BudgetWindow(number, "a", f"key:{number}", "day", amount_nano, spent_nano, held_nano, None, ends_in_ms)


def test_a_grant_has_room_in_each_of_its_budgets_and_counts_there() -> None:
    under = (window(50, 10, 10), window(100, 80, 5, number=2))
    answer = grant(account(100), None, wanting(10, 90), 1, under)
    # Of the second 15 are left, and half of them are another edge's share; the request needs more.
    assert answer.windows == (window(50, 10, 20), window(100, 80, 15, number=2))
    assert answer.lease is not None
    assert (answer.account, answer.lease.limit_nano) == (account(100, 10), 10)
    assert answer.lease.window_ids == (1, 2)


@pytest.mark.parametrize(
    ("posted", "held", "needed", "expected", "refused_by"),
    [
        (100, 0, 15, LeaseOutcome.DONE, None),
        (100, 0, 16, LeaseOutcome.RETRY, 2),  # its leases hold 5 of it
        (100, 0, 20, LeaseOutcome.RETRY, 2),
        (100, 0, 21, LeaseOutcome.BUDGET_EXCEEDED, 2),
        (100, 0, 41, LeaseOutcome.BUDGET_EXCEEDED, 1),
        (100, 95, 6, LeaseOutcome.RETRY, None),  # the account's own shortage
        (10, 0, 11, LeaseOutcome.INSUFFICIENT, None),  # with no credit a budget does not matter
    ],
)
def test_which_refuses_the_account_or_a_budget(
    posted: int, held: int, needed: int, expected: LeaseOutcome, refused_by: int | None
) -> None:
    under = (window(50, 10), window(100, 80, 5, number=2))
    answer = grant(account(posted, held), None, wanting(needed), 1, under)
    assert answer.outcome is expected
    assert (answer.refused_by and answer.refused_by.window_id) == refused_by


def test_extending_needs_room_in_the_budget_and_closing_does_not() -> None:
    under = (window(50, 10, 30),)
    one = lease(30)._replace(window_ids=(1,))
    grown = update_lease(account(100, 30), one, setting(40), 1, under)
    assert (grown.outcome, grown.windows) == (LeaseOutcome.DONE, (window(50, 10, 40),))
    assert update_lease(account(100, 30), one, setting(41), 1, under).outcome is LeaseOutcome.BUDGET_EXCEEDED
    shrunk = update_lease(account(100, 30), one, setting(5), 1, under)
    assert (shrunk.outcome, shrunk.windows) == (LeaseOutcome.DONE, (window(50, 10, 5),))
    closed = update_lease(account(100, 30), one, setting(60, close=True), 1, under)
    assert (closed.outcome, closed.windows) == (LeaseOutcome.DONE, (window(50, 10, 60),))


def test_usage_and_release_count_where_the_lease_was_granted() -> None:
    under = {1: window(50, 0, 30), 2: window(90, 0, 30, number=2), 3: window(7, number=3)}
    one = lease(30)._replace(window_ids=(1, 2))
    charged, [settled], counted = settle(account(100, 30), {"l": one}, {"l": 20, None: 5}, under)
    assert counted == [window(50, 20, 10), window(90, 20, 10, number=2)]
    _, _, counted = release(charged.account, [settled], under | {one.window_id: one for one in counted})
    assert counted == [window(50, 20), window(90, 20, number=2)]
    # What comes late is counted in full.
    _, _, counted = settle(account(100), {"l": settled._replace(state=LeaseState.RELEASED)}, {"l": 60}, under)
    assert [(one.spent_nano, one.held_nano) for one in counted] == [(60, 30), (60, 30)]


def test_the_first_period_that_ends_is_told() -> None:
    assert ends_in_ms((window(1), window(1, ends_in_ms=9), window(1, ends_in_ms=5))) == 5
    assert ends_in_ms((window(1),)) is None
