"""The rules of leases one by one; tests/models runs them through every interleaving."""

import pytest

from tollgate_balance.leases import (
    Answer,
    Authorise,
    Grant,
    Lease,
    LeaseState,
    Outcome,
    authorise,
    grant,
    release,
    settle,
    size,
)
from tollgate_balance.ledger import Account


def account(posted_nano: int, held_nano: int = 0, *, unburned_nano: int = 0) -> Account:
    return Account("a", posted_nano, held_nano, unburned_nano=unburned_nano)


def lease(authorised_nano: int, settled_nano: int = 0, state: LeaseState = LeaseState.OPEN, rev: int = 1) -> Lease:
    return Lease("l", "a", "b", state, authorised_nano, settled_nano, rev)


def wanting(needed_nano: int, wanted_nano: int = 0) -> Grant:
    return Grant("l", "a", "b", needed_nano, wanted_nano)


def setting(authorised_nano: int, *, rev: int = 2, wanted_nano: int = 0, close: bool = False) -> Authorise:
    return Authorise("l", "a", "b", authorised_nano, wanted_nano, close, rev)


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
    assert first == Answer(Outcome.DONE, account(100, 60), lease(60))
    assert grant(first.account, first.lease, wanting(60), 1) == first


def test_spent_and_held_are_told_apart() -> None:
    assert grant(account(100, 90), None, wanting(100), 1).outcome is Outcome.RETRY
    assert grant(account(100, 90), None, wanting(101), 1).outcome is Outcome.INSUFFICIENT
    extending = [authorise(account(100, 90), lease(40), setting(amount), 1).outcome for amount in (50, 51, 100, 101)]
    assert extending == [Outcome.DONE, Outcome.RETRY, Outcome.RETRY, Outcome.INSUFFICIENT]


def test_extending_takes_what_is_liked_if_it_leaves_a_share() -> None:
    answer = authorise(account(100, 20), lease(30, 10), setting(35, wanted_nano=200), 3)
    assert answer == Answer(Outcome.DONE, account(100, 40), lease(50, 10, rev=2))


def test_shrinking_gives_back_and_not_below_what_is_settled() -> None:
    assert authorise(account(100, 50), lease(50), setting(20), 1).account.held_nano == 20
    assert authorise(account(100, 40), lease(50, 10), setting(5), 1) == Answer(
        Outcome.DONE, account(100, 0), lease(5, 10, rev=2)
    )


def test_a_closed_lease_holds_exactly_the_usage_on_its_way() -> None:
    closed = authorise(account(100, 50), lease(50), setting(30, close=True), 1)
    assert closed == Answer(Outcome.DONE, account(100, 30), lease(30, state=LeaseState.CLOSED, rev=2))
    assert closed.lease is not None
    charged, [settled] = settle(closed.account, {"l": closed.lease}, {"l": 30})
    assert charged == (account(70, unburned_nano=30), 0)
    assert settled.hold_nano == 0


def test_closing_with_more_than_was_authorised_holds_what_is_available_of_it() -> None:
    assert authorise(account(100, 50), lease(50), setting(70, close=True), 1).account == account(100, 70)
    answer = authorise(account(60, 40), lease(50, 10), setting(90, close=True), 1)
    assert answer == Answer(Outcome.DONE, account(60, 60), lease(70, 10, LeaseState.CLOSED, 2))


@pytest.mark.parametrize(
    ("known", "call", "expected"),
    [
        (lease(20, rev=2), setting(20), Outcome.DONE),  # this call, sent again
        (lease(25, rev=2), setting(20, wanted_nano=30), Outcome.DONE),
        (lease(20, rev=2, state=LeaseState.CLOSED), setting(20, close=True), Outcome.DONE),
        (lease(40, rev=2), setting(20), Outcome.CONFLICT),  # another call had this rev
        (lease(20, rev=3), setting(20), Outcome.CONFLICT),  # a copy that was long under way
        (lease(20, rev=2), setting(20, rev=4), Outcome.CONFLICT),
        (lease(20, rev=2), setting(20, close=True), Outcome.CONFLICT),
        (lease(20, rev=2, state=LeaseState.CLOSED), setting(20), Outcome.CONFLICT),
        (lease(20, rev=1, state=LeaseState.CLOSED), setting(30), Outcome.CONFLICT),
        (lease(20, rev=1, state=LeaseState.RELEASED), setting(10), Outcome.CONFLICT),
    ],
)
def test_a_call_changes_a_lease_only_from_the_rev_before_it(known: Lease, call: Authorise, expected: Outcome) -> None:
    before = account(100, 40)
    assert authorise(before, known, call, 1) == Answer(expected, before, known)


def test_usage_is_covered_by_its_own_lease_then_by_what_is_available() -> None:
    leases = {"l": lease(30), "m": lease(20)._replace(lease_id="m"), "x": lease(9)._replace(account_id="x")}
    charged, settled = settle(account(60, 50), leases, {"l": 35, "m": 5, None: 2, "x": 1, "unknown": 1})
    # Beyond its lease's 30: 5; without a lease: 4; available: 10.
    assert charged == (account(60 - 44, 50 - 35, unburned_nano=44), 0)
    assert [(item.lease_id, item.settled_nano) for item in settled] == [("l", 35), ("m", 5)]


def test_usage_after_the_release_finds_no_hold() -> None:
    released, [gone] = release(account(100, 50), [lease(50)])
    assert released == account(100, 0)
    charged, [settled] = settle(released._replace(posted_nano=20), {"l": gone}, {"l": 50})
    assert charged == (account(0, unburned_nano=20), 30)
    assert settled.settled_nano == 50
