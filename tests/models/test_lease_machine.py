"""Edge leases and balance leases together, driven by a stateful Hypothesis machine.

The explicit-state models explore every interleaving of small worlds. This machine walks at random through large ones:
any amounts, several requests at once, extensions, lost responses, fences and late usage. Both sides are the services'
own code. A call and its response are one step here; the model of calls reorders them.
"""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tollgate_balance.budgets.windows import BudgetWindow, BudgetWindows
from tollgate_balance.leases import rules as balance
from tollgate_balance.ledger.accounts import Account
from tollgate_common.events import Budget, BudgetPeriod
from tollgate_common.lease_protocol import BudgetView, LeaseOutcome, LeaseState
from tollgate_edge.credit.leases import state as edge

ACCOUNT = "account"
EDGES = 2
AMOUNTS = st.integers(1, 500)
NUMBERS = st.integers(0, EDGES - 1)


@dataclass
class EdgeProcess:
    boot: str
    payer_lease: edge.PayerLease
    reservations: list[edge.Reservation] = field(default_factory=list)
    """Of requests under way."""
    waiting: list[edge.PendingReservation] = field(default_factory=list)


class LeaseMachine(RuleBasedStateMachine):
    """Balance's account and leases, some edges, and the log between them."""

    @initialize(credit=st.integers(0, 5_000), budget=st.none() | st.integers(0, 3_000))
    def begin(self, credit: int, budget: int | None) -> None:
        self.credited_nano = credit
        self.account = Account(ACCOUNT, credit, 0)
        self.leases: dict[str, balance.Lease] = {}
        self.windows: BudgetWindows = () if budget is None else (BudgetWindow(0, ACCOUNT, "budget", "total", budget),)
        self.budgets = (
            () if budget is None else (Budget(budget_id="budget", period=BudgetPeriod.TOTAL, amount_nano=budget),)
        )
        self.fenced: set[str] = set()
        self.log: list[tuple[str, int]] = []
        self.now_s = 0.0
        self.numbers = 0
        self.settled_nano = self.written_off_nano = 0
        # Usage that no lease can cover: beyond its reservation, or of a boot that was fenced before.
        self.uncovered_nano = 0
        self.beyond_nano: Counter[str | None] = Counter()
        self.edges = [EdgeProcess(f"boot {number}", self.new_wallet()) for number in range(EDGES)]
        # Walks are short: begin where each edge has a lease with credit to spare, if there is any.
        for number in range(EDGES):
            self.begin_request(number, 1, 400)
            self.end_request(number, 0, 10, 0)

    def new_wallet(self) -> edge.PayerLease:
        return edge.PayerLease(edge.Payer(ACCOUNT, self.budgets), lambda _: None)

    def new_id(self) -> str:
        self.numbers += 1
        return f"lease {self.numbers}"

    # --- requests -----------------------------------------------------------------------------------------------------

    @rule(number=NUMBERS, least=AMOUNTS, more=st.integers(0, 500))
    def begin_request(self, number: int, least: int, more: int) -> None:
        process = self.edges[number]
        reservation = process.payer_lease.try_reserve(least + more, self.now_s)
        if reservation is not None:
            process.reservations.append(reservation)
            return
        pending = edge.PendingReservation(least, least + more, lambda: None)
        self.wait(process, pending)

    @rule(number=NUMBERS, choice=st.integers(0, 9), more=AMOUNTS)
    def extend_request(self, number: int, choice: int, more: int) -> None:
        process = self.edges[number]
        growing = {id(pending.extended) for pending in process.waiting}
        idle = [one for one in process.reservations if id(one) not in growing]
        if not idle:
            return
        reservation = idle[choice % len(idle)]
        if reservation.try_extend(more):
            return
        pending = edge.PendingReservation(more, more, lambda: None)
        pending.extended = reservation
        self.wait(process, pending)

    @rule(number=NUMBERS, choice=st.integers(0, 9), percent=st.integers(0, 100), beyond=st.integers(0, 20))
    def end_request(self, number: int, choice: int, percent: int, beyond: int) -> None:
        process = self.edges[number]
        if not process.reservations:
            return
        reservation = process.reservations[choice % len(process.reservations)]
        process.reservations.remove(reservation)
        for pending in [pending for pending in process.waiting if pending.extended is reservation]:
            process.payer_lease.withdraw(pending)
            process.waiting.remove(pending)
        used = reservation.nano * percent // 100
        if percent == 100:
            used += beyond
            self.uncovered_nano += beyond
            self.beyond_nano[reservation.lease_id] += beyond
        lease_id = reservation.lease_id
        assert lease_id is not None
        if self.leases[lease_id].boot_id in self.fenced:
            self.uncovered_nano += used
        self.log.append((lease_id, used))
        reservation.settle(used)
        self.serve(process)

    def wait(self, process: EdgeProcess, pending: edge.PendingReservation) -> None:
        process.payer_lease.enqueue(pending)
        process.waiting.append(pending)
        self.serve(process)
        if process.waiting:
            self.call(process, is_lost=False)

    def serve(self, process: EdgeProcess) -> None:
        process.payer_lease.serve(self.now_s)
        for pending in tuple(process.waiting):
            if pending.is_decided:
                process.waiting.remove(pending)
                if pending.reserved is not None and pending.extended is None:
                    process.reservations.append(pending.reserved)

    # --- calls --------------------------------------------------------------------------------------------------------

    @rule(number=NUMBERS, is_lost=st.booleans())
    def call_balance(self, number: int, is_lost: bool) -> None:
        self.call(self.edges[number], is_lost=is_lost)

    def call(self, process: EdgeProcess, *, is_lost: bool) -> None:
        call = process.payer_lease.call or process.payer_lease.next_call(self.now_s, process.boot, self.new_id)
        if call is None:
            return
        answer = self.answer(call)
        if is_lost:
            return
        if answer is None:
            # The boot learns that it is fenced: it begins anew, and its requests end on what they have.
            self.numbers += 1
            process.boot = f"boot {EDGES + self.numbers}"
            process.payer_lease.fail()
            return
        process.payer_lease.take(answer, self.now_s)
        self.serve(process)

    def answer(self, call: edge.Call) -> edge.Answer | None:
        lease = self.leases.get(call.lease_id)
        is_fenced = call.boot_id in self.fenced
        if isinstance(call, edge.Grant):
            if is_fenced:
                return None
            asked = balance.Grant(
                call.lease_id, ACCOUNT, call.boot_id, call.needed_nano, call.wanted_nano, call.budgets
            )
            answer = balance.grant(self.account, lease, asked, EDGES, self.windows)
        else:
            assert lease is not None
            asked_for = balance.UpdateLease(
                call.lease_id, ACCOUNT, call.boot_id, call.limit_nano, call.wanted_nano, call.close, call.rev
            )
            if is_fenced and balance.is_extension(lease, asked_for):
                return None
            answer = balance.update_lease(self.account, lease, asked_for, EDGES, self.windows)
        self.account, self.windows = answer.account, tuple(answer.windows)
        view = None
        if answer.lease is not None:
            self.leases[call.lease_id] = answer.lease
            is_open = answer.lease.state is LeaseState.OPEN
            view = edge.LeaseView(is_open, answer.lease.limit_nano, answer.lease.settled_nano, answer.lease.rev)
        refused = answer.refused_by
        budget = None
        if refused is not None and answer.outcome is LeaseOutcome.BUDGET_EXCEEDED:
            budget = BudgetView("budget", BudgetPeriod.TOTAL, refused.amount_nano, refused.spent_nano, None)
        return edge.Answer(answer.outcome, view, self.account.posted_nano, 0.1, budget)

    @rule(number=NUMBERS)
    def close_idle(self, number: int) -> None:
        payer_lease = self.edges[number].payer_lease
        if payer_lease.call is None:
            payer_lease.close()

    @rule(number=NUMBERS)
    def hear_of_shortage(self, number: int) -> None:
        self.edges[number].payer_lease.is_short = True

    @rule(seconds=st.integers(1, 10))
    def pass_time(self, seconds: int) -> None:
        self.now_s += seconds
        for process in self.edges:
            for _ in range(seconds):
                process.payer_lease.tick()

    # --- the balance service ------------------------------------------------------------------------------------------

    @rule(amount=AMOUNTS)
    def deposit(self, amount: int) -> None:
        self.credited_nano += amount
        self.account = self.account._replace(posted_nano=self.account.posted_nano + amount)

    @precondition(lambda self: self.log)
    @rule()
    def consume(self) -> None:
        lease_id, used = self.log.pop(0)
        before = dict(enumerate(self.windows))
        settled = balance.settle(self.account, self.leases, {lease_id: used}, before)
        self.account = settled.charged.account
        self.windows = tuple(settled.windows) or self.windows
        self.leases |= {lease.lease_id: lease for lease in settled.leases}
        self.settled_nano += used
        self.written_off_nano += settled.charged.written_off_nano

    @rule(number=NUMBERS, dice=st.integers(1, 6))
    def fence(self, number: int, dice: int) -> None:
        if dice == 6:
            self.fenced.add(self.edges[number].boot)

    @rule()
    def release_fenced(self) -> None:
        pending = {lease_id for lease_id, _ in self.log}
        own = [
            lease
            for lease in self.leases.values()
            if lease.boot_id in self.fenced and lease.state is not LeaseState.RELEASED
        ]
        boots = {lease.boot_id for lease in own} - {lease.boot_id for lease in own if lease.lease_id in pending}
        drained = [lease for lease in own if lease.boot_id in boots]
        if not drained:
            return
        self.account, released, windows = balance.release(self.account, drained, dict(enumerate(self.windows)))
        self.windows = tuple(windows) or self.windows
        self.leases |= {lease.lease_id: lease for lease in released}

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def holds_are_those_of_leases(self) -> None:
        holds = sum(lease.hold_nano for lease in self.leases.values())
        assert self.account.posted_nano >= self.account.held_nano == holds >= 0

    @invariant()
    def nothing_is_lost_and_nothing_overspent(self) -> None:
        assert self.account.posted_nano == self.credited_nano - self.settled_nano + self.written_off_nano
        assert self.written_off_nano <= self.uncovered_nano

    @invariant()
    def edges_spend_what_is_authorised(self) -> None:
        for process in self.edges:
            lease = process.payer_lease.lease
            if lease is not None and lease.boot_id not in self.fenced:
                limit_nano = self.leases[lease.lease_id].limit_nano
                assert lease.limit_nano <= limit_nano
                assert lease.committed_nano <= limit_nano + self.beyond_nano[lease.lease_id]

    @invariant()
    def budgets_hold(self) -> None:
        for one in self.windows:
            assert one.spent_nano + one.held_nano <= one.amount_nano + self.uncovered_nano
            assert one.spent_nano == self.settled_nano
            assert one.held_nano == self.account.held_nano


LeaseMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestLeases = LeaseMachine.TestCase
