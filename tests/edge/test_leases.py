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
    Refusal,
    Reservation,
    UpdateLease,
    Want,
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


def wallet_with(bank: Bank, nano: int) -> tuple[PayerLease, Reservation]:
    """A wallet whose first reservation has been granted."""
    wallet = PayerLease(PAYER, lambda _: None)
    want = ask(wallet, nano)
    work(bank, wallet)
    assert want.reserved is not None
    return wallet, want.reserved


def ask(wallet: PayerLease, least_nano: int, most_nano: int | None = None, extended: Reservation | None = None) -> Want:
    want = Want(least_nano, least_nano if most_nano is None else most_nano, lambda: None)
    want.extended = extended
    wallet.enqueue(want)
    return want


_numbers = count()


def fresh_id() -> str:
    return f"lease-{next(_numbers)}"


def work(bank: Bank, wallet: PayerLease, now_s: float = 0.0) -> None:
    """Serve and call until there is nothing to do."""
    wallet.serve(now_s)
    while (call := wallet.next_call(now_s, "boot", fresh_id)) is not None:
        wallet.take(bank.answer(call), now_s)
        wallet.serve(now_s)


class Edges(RuleBasedStateMachine):
    """Several edges on one account. Calls are sent, perhaps twice, and answered at any later moment."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = Bank()
        self.wallets = [PayerLease(PAYER, lambda _: None) for _ in range(EDGES)]
        self.reservations: list[Reservation] = []
        self.wants: list[tuple[PayerLease, Want]] = []
        self.spent_nano = 0
        self.now_s = 0.0

    @rule(edge=st.integers(0, EDGES - 1), nano=AMOUNTS)
    def reserve(self, edge: int, nano: int) -> None:
        reservation = self.wallets[edge].try_reserve(nano, self.now_s)
        if reservation is not None:
            self.reservations.append(reservation)

    @rule(edge=st.integers(0, EDGES - 1), least_nano=AMOUNTS, more_nano=AMOUNTS)
    def wait(self, edge: int, least_nano: int, more_nano: int) -> None:
        self.wants.append((self.wallets[edge], ask(self.wallets[edge], least_nano, least_nano + more_nano)))

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), nano=AMOUNTS)
    def grow(self, data: st.DataObject, nano: int) -> None:
        reservation = data.draw(st.sampled_from(self.reservations))
        if not reservation.try_extend(nano) and reservation.lease is not None:
            wallet = reservation.lease.wallet
            if all(want.extended is not reservation for want in wallet.waiting):
                ask(wallet, nano, extended=reservation)

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), part=st.floats(0, 1))
    def settle(self, data: st.DataObject, part: float) -> None:
        reservation = data.draw(st.sampled_from(self.reservations))
        self.end(reservation, int(reservation.nano * part))

    def end(self, reservation: Reservation, actual_nano: int) -> None:
        assert reservation.lease is not None
        for want in tuple(reservation.lease.wallet.waiting):
            if want.extended is reservation:
                reservation.lease.wallet.withdraw(want)
        self.reservations.remove(reservation)
        reservation.settle(actual_nano)
        self.spent_nano += actual_nano

    @rule(edge=st.integers(0, EDGES - 1))
    def give_up_waiting(self, edge: int) -> None:
        for want in tuple(self.wallets[edge].waiting):
            self.wallets[edge].withdraw(want)

    @rule(edge=st.integers(0, EDGES - 1))
    def decide(self, edge: int) -> None:
        wallet = self.wallets[edge]
        wallet.serve(self.now_s)
        if wallet.call is None:
            wallet.next_call(self.now_s, "boot", fresh_id)

    @rule(edge=st.integers(0, EDGES - 1))
    def arrive(self, edge: int) -> None:
        """The call reaches the bank; its answer is lost, and it will be repeated."""
        call = self.wallets[edge].call
        if call is not None:
            self.bank.answer(call)

    @rule(edge=st.integers(0, EDGES - 1))
    def answer(self, edge: int) -> None:
        wallet = self.wallets[edge]
        if wallet.call is not None:
            wallet.take(self.bank.answer(wallet.call), self.now_s)
            wallet.serve(self.now_s)

    @rule(edge=st.integers(0, EDGES - 1), is_short=st.booleans())
    def age(self, edge: int, is_short: bool) -> None:
        self.now_s += 0.1
        self.wallets[edge].tick()
        self.wallets[edge].fade()
        self.wallets[edge].is_short = is_short

    @invariant()
    def nothing_is_overspent(self) -> None:
        for wallet, want in tuple(self.wants):
            if want.reserved is not None:
                self.wants.remove((wallet, want))
                self.reservations.append(want.reserved)
                assert want.least_nano <= want.reserved.nano <= want.most_nano
        assert 0 <= self.bank.account.held_nano <= self.bank.account.posted_nano
        reserved_nano = sum(reservation.nano for reservation in self.reservations)
        assert self.spent_nano + reserved_nano <= POSTED_NANO
        for wallet in self.wallets:
            lease = wallet.lease
            if lease is not None:
                assert lease.committed_nano <= lease.limit_nano <= self.bank.leases[lease.lease_id].limit_nano

    def teardown(self) -> None:
        """Everything ends: nothing stays reserved or held but what was spent."""
        self.nothing_is_overspent()
        for reservation in tuple(self.reservations):
            self.end(reservation, 0)
        for wallet in self.wallets:
            for want in tuple(wallet.waiting):
                wallet.withdraw(want)
            if wallet.call is not None:
                wallet.take(self.bank.answer(wallet.call), self.now_s)
            assert wallet.lease is None or wallet.lease.reserved_nano == 0
            for _ in range(IDLE_TICKS):
                wallet.tick()
            work(self.bank, wallet)
            assert wallet.is_empty
        assert self.bank.account.held_nano == self.spent_nano


TestEdges = pytest.mark.filterwarnings("error")(Edges.TestCase)
TestEdges.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(reserved=st.integers(0, 500), actual=st.integers(0, 900))
def test_usage_beyond_a_reservation_is_held_as_far_as_credit_goes(reserved: int, actual: int) -> None:
    bank = Bank()
    wallet, reservation = wallet_with(bank, reserved)
    reservation.settle(actual)
    for _ in range(IDLE_TICKS):
        wallet.tick()
    work(bank, wallet)
    assert wallet.is_empty
    assert bank.account.held_nano == actual


def test_a_reservation_settles_once() -> None:
    wallet, reservation = wallet_with(Bank(), 100)
    reservation.settle(60)
    reservation.settle(0)
    assert wallet.lease is not None
    assert (wallet.lease.spent_nano, wallet.lease.reserved_nano) == (60, 0)


def test_who_came_first_is_served_first_but_a_request_under_way_before_them() -> None:
    bank = Bank(100)
    wallet, reservation = wallet_with(bank, 60)
    first, second, growth = ask(wallet, 40), ask(wallet, 30), ask(wallet, 20, extended=reservation)
    work(bank, wallet)
    assert growth.reserved is reservation
    assert reservation.nano == 80
    # 20 are left: neither has enough, and both were told to come again.
    assert (first.reserved, second.reserved) == (None, None)
    assert (first.is_heard, second.is_heard) == (True, True)
    reservation.settle(20)
    work(bank, wallet, now_s=1)
    assert (first.reserved is not None, second.reserved is not None) == (True, True)


def test_who_needs_less_overtakes_one_that_must_wait() -> None:
    bank = Bank(100)
    wallet, _ = wallet_with(bank, 60)
    big, small = ask(wallet, 80), ask(wallet, 10)
    work(bank, wallet)
    assert big.reserved is None
    assert small.reserved is not None


def test_more_than_the_account_has_is_refused_at_once() -> None:
    bank = Bank(100)
    wallet, _ = wallet_with(bank, 60)
    want, as_much = ask(wallet, 101), ask(wallet, 150)
    work(bank, wallet)
    assert want.refusal == as_much.refusal == Refusal(100)
    assert wallet.waiting == []


def test_less_than_is_liked_once_there_is_no_more() -> None:
    want = ask(wallet := PayerLease(PAYER, lambda _: None), 10, 500)
    work(Bank(100), wallet)
    assert want.reserved is not None
    assert 10 <= want.reserved.nano < 100


def test_a_reservation_moves_when_its_lease_is_lost() -> None:
    bank = Bank()
    wallet, reservation = wallet_with(bank, 100)
    lost = wallet.lease
    assert lost is not None
    wallet.drop()
    assert not reservation.try_extend(1), "nothing more is taken from a lease that is lost"
    want = ask(wallet, 50, extended=reservation)
    work(bank, wallet)
    assert want.reserved is reservation
    assert wallet.lease is reservation.lease is not lost
    assert (reservation.nano, lost.reserved_nano) == (150, 0)
    assert wallet.lease is not None
    assert wallet.lease.reserved_nano == 150


def test_a_short_account_gets_back_what_is_idle() -> None:
    bank = Bank(1_000)
    wallet, reservation = wallet_with(bank, 300)
    wallet.is_short = True
    reservation.settle(50)
    work(bank, wallet)
    assert bank.account.held_nano == 50
    assert wallet.lease is not None
    assert wallet.lease.free_nano == 0


def test_two_edges_that_each_hold_a_part_of_what_both_need_do_not_starve() -> None:
    bank = Bank(1_000)
    wallets = []
    for _ in range(2):
        wallet, reservation = wallet_with(bank, 400)
        reservation.settle(0)
        wallets.append(wallet)
    wants = [ask(wallet, 700) for wallet in wallets]
    for now_s in range(4):
        for wallet in wallets:
            work(bank, wallet, now_s=now_s)
    assert sum(want.reserved is not None for want in wants) == 1


async def test_whoever_waits_is_woken() -> None:
    bank, decided = Bank(100), asyncio.Event()
    woken: list[PayerLease] = []
    wallet = PayerLease(PAYER, woken.append)
    held = ask(wallet, 90)
    work(bank, wallet)
    want = Want(50, 50, decided.set)
    wallet.enqueue(want)
    work(bank, wallet)
    assert not decided.is_set()
    assert held.reserved is not None
    held.reserved.settle(0)
    assert woken == [wallet]
    work(bank, wallet, now_s=1)
    assert decided.is_set()
