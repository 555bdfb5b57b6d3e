"""The edges' half of the leases against the balance service's own rules, in every order that chance finds."""

import asyncio
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tollgate_balance.leases import rules as books
from tollgate_balance.ledger.accounts import Account
from tollgate_common.lease_protocol import LeaseState
from tollgate_edge.credit.leases.state import (
    IDLE_TICKS,
    Answer,
    Call,
    Grant,
    LeaseView,
    Payer,
    PayerLease,
    PendingReservation,
    Refusal,
    Reservation,
    UpdateLease,
)

ACCOUNT = "account"
PAYER = Payer(ACCOUNT)
POSTED_NANO = 1_000
EDGES = 3
AMOUNTS = st.integers(0, 400)


class Bank:
    """The balance service: an account, its leases, and the pure functions that answer calls."""

    def __init__(self, posted_nano: int = POSTED_NANO) -> None:
        self.account = Account(ACCOUNT, posted_nano, 0)
        self.leases: dict[str, books.Lease] = {}

    def answer(self, call: Call) -> Answer:
        known = self.leases.get(call.lease_id)
        if isinstance(call, Grant):
            wish = books.Grant(call.lease_id, call.account_id, call.boot_id, call.needed_nano, call.wanted_nano)
            answer = books.grant(self.account, known, wish, EDGES)
        else:
            assert known is not None
            answer = books.update_lease(self.account, known, self._change(call), EDGES)
        self.account = answer.account
        if answer.lease is not None:
            self.leases[call.lease_id] = answer.lease
        view = answer.lease and LeaseView(
            answer.lease.state is LeaseState.OPEN,
            answer.lease.limit_nano,
            answer.lease.settled_nano,
            answer.lease.rev,
        )
        return Answer(answer.outcome, view or None, answer.account.posted_nano, 0.25)

    @staticmethod
    def _change(call: UpdateLease) -> books.UpdateLease:
        return books.UpdateLease(
            call.lease_id,
            call.account_id,
            call.boot_id,
            call.limit_nano,
            call.wanted_nano,
            call.close,
            call.rev,
        )


def payer_lease_with(bank: Bank, nano: int) -> tuple[PayerLease, Reservation]:
    """A payer lease whose first reservation has been granted."""
    payer_lease = PayerLease(PAYER, lambda _: None)
    pending = ask(payer_lease, nano)
    work(bank, payer_lease)
    assert pending.reserved is not None
    return payer_lease, pending.reserved


def ask(
    payer_lease: PayerLease, least_nano: int, most_nano: int | None = None, extended: Reservation | None = None
) -> PendingReservation:
    pending = PendingReservation(least_nano, least_nano if most_nano is None else most_nano, lambda: None)
    pending.extended = extended
    payer_lease.enqueue(pending)
    return pending


_numbers = count()


def fresh_id() -> str:
    return f"lease-{next(_numbers)}"


def work(bank: Bank, payer_lease: PayerLease, now_s: float = 0.0) -> None:
    """Serve and call until there is nothing to do."""
    payer_lease.serve(now_s)
    while (call := payer_lease.next_call(now_s, "boot", fresh_id)) is not None:
        payer_lease.take(bank.answer(call), now_s)
        payer_lease.serve(now_s)


class Edges(RuleBasedStateMachine):
    """Several edges on one account. Calls are sent, perhaps twice, and answered at any later moment."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = Bank()
        self.payer_leases = [PayerLease(PAYER, lambda _: None) for _ in range(EDGES)]
        self.reservations: list[Reservation] = []
        self.pendings: list[tuple[PayerLease, PendingReservation]] = []
        self.spent_nano = 0
        self.now_s = 0.0

    @rule(edge=st.integers(0, EDGES - 1), nano=AMOUNTS)
    def reserve(self, edge: int, nano: int) -> None:
        reservation = self.payer_leases[edge].try_reserve(nano, self.now_s)
        if reservation is not None:
            self.reservations.append(reservation)

    @rule(edge=st.integers(0, EDGES - 1), least_nano=AMOUNTS, more_nano=AMOUNTS)
    def wait(self, edge: int, least_nano: int, more_nano: int) -> None:
        self.pendings.append(
            (self.payer_leases[edge], ask(self.payer_leases[edge], least_nano, least_nano + more_nano))
        )

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), nano=AMOUNTS)
    def grow(self, data: st.DataObject, nano: int) -> None:
        reservation = data.draw(st.sampled_from(self.reservations))
        if not reservation.try_extend(nano) and reservation.lease is not None:
            payer_lease = reservation.lease.payer_lease
            if all(pending.extended is not reservation for pending in payer_lease.waiting):
                ask(payer_lease, nano, extended=reservation)

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), part=st.floats(0, 1))
    def settle(self, data: st.DataObject, part: float) -> None:
        reservation = data.draw(st.sampled_from(self.reservations))
        self.end(reservation, int(reservation.nano * part))

    def end(self, reservation: Reservation, actual_nano: int) -> None:
        assert reservation.lease is not None
        for pending in tuple(reservation.lease.payer_lease.waiting):
            if pending.extended is reservation:
                reservation.lease.payer_lease.withdraw(pending)
        self.reservations.remove(reservation)
        reservation.settle(actual_nano)
        self.spent_nano += actual_nano

    @rule(edge=st.integers(0, EDGES - 1))
    def give_up_waiting(self, edge: int) -> None:
        for pending in tuple(self.payer_leases[edge].waiting):
            self.payer_leases[edge].withdraw(pending)

    @rule(edge=st.integers(0, EDGES - 1))
    def decide(self, edge: int) -> None:
        payer_lease = self.payer_leases[edge]
        payer_lease.serve(self.now_s)
        if payer_lease.call is None:
            payer_lease.next_call(self.now_s, "boot", fresh_id)

    @rule(edge=st.integers(0, EDGES - 1))
    def arrive(self, edge: int) -> None:
        """The call reaches the bank; its answer is lost, and it will be repeated."""
        call = self.payer_leases[edge].call
        if call is not None:
            self.bank.answer(call)

    @rule(edge=st.integers(0, EDGES - 1))
    def answer(self, edge: int) -> None:
        payer_lease = self.payer_leases[edge]
        if payer_lease.call is not None:
            payer_lease.take(self.bank.answer(payer_lease.call), self.now_s)
            payer_lease.serve(self.now_s)

    @rule(edge=st.integers(0, EDGES - 1), is_short=st.booleans())
    def age(self, edge: int, is_short: bool) -> None:
        self.now_s += 0.1
        self.payer_leases[edge].tick()
        self.payer_leases[edge].fade()
        self.payer_leases[edge].is_short = is_short

    @invariant()
    def nothing_is_overspent(self) -> None:
        for payer_lease, pending in tuple(self.pendings):
            if pending.reserved is not None:
                self.pendings.remove((payer_lease, pending))
                self.reservations.append(pending.reserved)
                assert pending.least_nano <= pending.reserved.nano <= pending.most_nano
        assert 0 <= self.bank.account.held_nano <= self.bank.account.posted_nano
        reserved_nano = sum(reservation.nano for reservation in self.reservations)
        assert self.spent_nano + reserved_nano <= POSTED_NANO
        for payer_lease in self.payer_leases:
            lease = payer_lease.lease
            if lease is not None:
                assert lease.committed_nano <= lease.limit_nano <= self.bank.leases[lease.lease_id].limit_nano

    def teardown(self) -> None:
        """Everything ends: nothing stays reserved or held but what was spent."""
        self.nothing_is_overspent()
        for reservation in tuple(self.reservations):
            self.end(reservation, 0)
        for payer_lease in self.payer_leases:
            for pending in tuple(payer_lease.waiting):
                payer_lease.withdraw(pending)
            if payer_lease.call is not None:
                payer_lease.take(self.bank.answer(payer_lease.call), self.now_s)
            assert payer_lease.lease is None or payer_lease.lease.reserved_nano == 0
            for _ in range(IDLE_TICKS):
                payer_lease.tick()
            work(self.bank, payer_lease)
            assert payer_lease.is_empty
        assert self.bank.account.held_nano == self.spent_nano


TestEdges = pytest.mark.filterwarnings("error")(Edges.TestCase)
TestEdges.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(reserved=st.integers(0, 500), actual=st.integers(0, 900))
def test_usage_beyond_a_reservation_is_held_as_far_as_credit_goes(reserved: int, actual: int) -> None:
    bank = Bank()
    payer_lease, reservation = payer_lease_with(bank, reserved)
    reservation.settle(actual)
    for _ in range(IDLE_TICKS):
        payer_lease.tick()
    work(bank, payer_lease)
    assert payer_lease.is_empty
    assert bank.account.held_nano == actual


def test_a_reservation_settles_once() -> None:
    payer_lease, reservation = payer_lease_with(Bank(), 100)
    reservation.settle(60)
    reservation.settle(0)
    assert payer_lease.lease is not None
    assert (payer_lease.lease.spent_nano, payer_lease.lease.reserved_nano) == (60, 0)


def test_who_came_first_is_served_first_but_a_request_under_way_before_them() -> None:
    bank = Bank(100)
    payer_lease, reservation = payer_lease_with(bank, 60)
    first, second, growth = ask(payer_lease, 40), ask(payer_lease, 30), ask(payer_lease, 20, extended=reservation)
    work(bank, payer_lease)
    assert growth.reserved is reservation
    assert reservation.nano == 80
    # 20 are left: neither has enough, and both were told to come again.
    assert (first.reserved, second.reserved) == (None, None)
    assert (first.is_heard, second.is_heard) == (True, True)
    reservation.settle(20)
    work(bank, payer_lease, now_s=1)
    assert (first.reserved is not None, second.reserved is not None) == (True, True)


def test_who_needs_less_overtakes_one_that_must_wait() -> None:
    bank = Bank(100)
    payer_lease, _ = payer_lease_with(bank, 60)
    big, small = ask(payer_lease, 80), ask(payer_lease, 10)
    work(bank, payer_lease)
    assert big.reserved is None
    assert small.reserved is not None


def test_more_than_the_account_has_is_refused_at_once() -> None:
    bank = Bank(100)
    payer_lease, _ = payer_lease_with(bank, 60)
    pending, as_much = ask(payer_lease, 101), ask(payer_lease, 150)
    work(bank, payer_lease)
    assert pending.refusal == as_much.refusal == Refusal(100)
    assert payer_lease.waiting == []


def test_less_than_is_liked_once_there_is_no_more() -> None:
    pending = ask(payer_lease := PayerLease(PAYER, lambda _: None), 10, 500)
    work(Bank(100), payer_lease)
    assert pending.reserved is not None
    assert 10 <= pending.reserved.nano < 100


def test_a_reservation_moves_when_its_lease_is_lost() -> None:
    bank = Bank()
    payer_lease, reservation = payer_lease_with(bank, 100)
    lost = payer_lease.lease
    assert lost is not None
    payer_lease.drop()
    assert not reservation.try_extend(1), "nothing more is taken from a lease that is lost"
    pending = ask(payer_lease, 50, extended=reservation)
    work(bank, payer_lease)
    assert pending.reserved is reservation
    assert payer_lease.lease is reservation.lease is not lost
    assert (reservation.nano, lost.reserved_nano) == (150, 0)
    assert payer_lease.lease is not None
    assert payer_lease.lease.reserved_nano == 150


def test_a_short_account_gets_back_what_is_idle() -> None:
    bank = Bank(1_000)
    payer_lease, reservation = payer_lease_with(bank, 300)
    payer_lease.is_short = True
    reservation.settle(50)
    work(bank, payer_lease)
    assert bank.account.held_nano == 50
    assert payer_lease.lease is not None
    assert payer_lease.lease.free_nano == 0


def test_two_edges_that_each_hold_a_part_of_what_both_need_do_not_starve() -> None:
    bank = Bank(1_000)
    payer_leases = []
    for _ in range(2):
        payer_lease, reservation = payer_lease_with(bank, 400)
        reservation.settle(0)
        payer_leases.append(payer_lease)
    pendings = [ask(payer_lease, 700) for payer_lease in payer_leases]
    for now_s in range(4):
        for payer_lease in payer_leases:
            work(bank, payer_lease, now_s=now_s)
    assert sum(pending.reserved is not None for pending in pendings) == 1


async def test_whoever_waits_is_woken() -> None:
    bank, decided = Bank(100), asyncio.Event()
    woken: list[PayerLease] = []
    payer_lease = PayerLease(PAYER, woken.append)
    held = ask(payer_lease, 90)
    work(bank, payer_lease)
    pending = PendingReservation(50, 50, decided.set)
    payer_lease.enqueue(pending)
    work(bank, payer_lease)
    assert not decided.is_set()
    assert held.reserved is not None
    held.reserved.settle(0)
    assert woken == [payer_lease]
    work(bank, payer_lease, now_s=1)
    assert decided.is_set()
