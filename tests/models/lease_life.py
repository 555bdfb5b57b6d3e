"""Leases through the life and death of edges: crashes, spools, resends, the fence, the release, a reduction of credit,
an expiry of it.

The arithmetic is the code's own. A call and its answer are one step here, or the answer is lost and the edge repeats
the call; what a network does to calls is the other model. Every lease is of one unit and every request spends one.
Nothing is assumed of time: an edge may be fenced while it still works, and may spend on until it learns of it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from models.explorer import Exploration, explore
from tollgate_balance.budgets.windows import BudgetWindow
from tollgate_balance.credits.portfolio import (
    Collected,
    CreditGrant,
    CreditPortfolio,
    add,
    burn,
    collect_all,
    expire,
    open_portfolio,
    take,
)
from tollgate_balance.leases.rules import (
    Grant,
    Lease,
    UpdateLease,
    grant,
    release,
    settle,
    update_lease,
)
from tollgate_balance.ledger.accounts import Account, collect
from tollgate_common.lease_protocol import LeaseOutcome, LeaseState

ACCOUNT = "account"
# The grant that may expire burns first: it is the one with an end.
PROMO = "promo"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class LifeRules(NamedTuple):
    """Each is part of the protocol; without it a counterexample must be found."""

    drop_duplicates: bool = True
    write_off: bool = True
    """What nothing covers is written off instead of taken from what others hold."""
    hold_after_close: bool = True
    """A closed lease goes on holding the usage that is on its way."""
    wait_for_consumption: bool = True
    """Holds are released only when the log is consumed up to the stored end."""
    read_ends_after_fence: bool = True
    refuse_the_fenced: bool = True
    """A fenced boot gets no new lease."""
    fence_the_silent: bool = True
    collect_what_is_due: bool = True
    reduce_only_available: bool = True
    expire_only_available: bool = True
    burn_before_expiry: bool = True
    """What was taken before an expiry burns before it, so that no more expires than is left."""
    burn_while_expiring: bool = True
    """Usage of held credit that has expired burns it, so that no more expires later than is left then."""
    expire_what_comes_back: bool = True
    look_at_budgets: bool = True
    hold_in_budgets: bool = True
    release_in_budgets: bool = True


class Bounds(NamedTuple):
    credit: int = 2
    requests: tuple[int, ...] = (1, 1)
    """Of each edge."""
    leases: int = 3
    crashes: int = 1
    false_alarms: int = 0
    """Fences of a boot that is alive: it was paused, or its renewals were lost."""
    resends: int = 0
    """Usage whose acknowledgement was lost, so that it is in the log and in the spool."""
    outages: int = 0
    """Usage that Kafka did not take, so that it is in the spool only."""
    lost_spools: int = 0
    lost_answers: int = 0
    reduction: int = 0
    promo: int = 0
    """So much of the credit may expire."""
    budget: int | None = None
    """Of all leases together, if they have one."""


class Usage(NamedTuple):
    boot: int
    seq: int
    lease: int


class Boot(NamedTuple):
    """As PostgreSQL has it. `ends` is how many records of the log are still before the stored end."""

    is_fenced: bool = False
    ends: int | None = None
    is_released: bool = False


class Edge(NamedTuple):
    """What an edge process knows. `asks` is a lease that it waits for the grant of; without a boot it has ended."""

    boot: int | None
    requests: int
    lease: int | None = None
    asks: int | None = None
    spent: int = 0
    next_seq: int = 0


class State(NamedTuple):
    portfolio: CreditPortfolio
    windows: tuple[BudgetWindow, ...]
    leases: tuple[Lease | None, ...]
    boots: tuple[Boot, ...]
    edges: tuple[Edge, ...]
    spools: tuple[tuple[Usage, ...], ...]
    """Of each edge; they outlive its crash."""
    log: tuple[Usage, ...]
    """What is not consumed yet."""
    seen: frozenset[Usage]
    reduction: int
    reduced: int
    may_expire: bool
    written_off: int
    uncovered: int
    """Usage that reached the log after its boot was fenced: all that may have to be written off."""
    left: Bounds
    """What may still go wrong."""

    @property
    def account(self) -> Account:
        return self.portfolio.account

    def with_account(self, account: Account) -> "State":
        return self._replace(portfolio=self.portfolio._replace(account=account))


def explore_life(rules: LifeRules, bounds: Bounds, max_states: int = 200_000) -> Exploration[State]:
    """Every interleaving within the bounds."""
    edges = tuple(Edge(boot, requests) for boot, requests in enumerate(bounds.requests))
    initial = State(
        portfolio=_credited(bounds),
        windows=() if bounds.budget is None else (BudgetWindow(0, ACCOUNT, "budget", "total", bounds.budget),),
        leases=(None,) * bounds.leases,
        boots=(Boot(),) * len(edges),
        edges=edges,
        spools=((),) * len(edges),
        log=(),
        seen=frozenset(),
        reduction=bounds.reduction,
        reduced=0,
        may_expire=bounds.promo > 0,
        written_off=0,
        uncovered=0,
        left=bounds,
    )
    model = LeaseLife(rules, bounds)
    return explore(initial, model.successors, model.wrong, model.is_at_rest, max_states)


class LeaseLife:
    def __init__(self, rules: LifeRules, bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds

    def successors(self, state: State) -> Iterator[tuple[str, State]]:
        for number in range(len(state.edges)):
            yield from self._edge_steps(state, number)
            yield from self._spool_steps(state, number)
        for number in range(len(state.boots)):
            yield from self._boot_steps(state, number)
        if state.log:
            yield "the ledger consumes", self._consume(state)
        if state.reduction:
            yield "credit is reduced", self._reduce(state)
        if state.may_expire:
            yield "the promo credit expires", self._expire(state)

    # --- edges --------------------------------------------------------------------------------------------------------

    def _edge_steps(self, state: State, number: int) -> Iterator[tuple[str, State]]:
        edge = state.edges[number]
        if edge.boot is None:
            return
        if edge.asks is not None or (edge.lease is None and edge.requests):
            yield from self._ask_for_lease(state, number)
        if edge.lease is not None and edge.spent == 0 and edge.requests:
            yield from self._spend(state, number)
        if edge.lease is not None:
            yield f"edge {number} closes lease {edge.lease}", self._close(state, number)
        if edge.lease is None and edge.asks is None and not edge.requests:
            yield f"edge {number} ends", _put_edge(state, number, Edge(None, 0))
        if state.left.crashes:
            left = state.left._replace(crashes=state.left.crashes - 1)
            yield f"edge {number} crashes", self._begin_anew(state, number)._replace(left=left)

    def _ask_for_lease(self, state: State, number: int) -> Iterator[tuple[str, State]]:
        edge = state.edges[number]
        assert edge.boot is not None
        lease = edge.asks if edge.asks is not None else _unused(state)
        if lease is None:
            return
        if state.boots[edge.boot].is_fenced and self._rules.refuse_the_fenced:
            yield f"edge {number} learns that it is fenced", self._begin_anew(state, number)
            return
        call = Grant(str(lease), ACCOUNT, str(edge.boot), 1, 0)
        answer = grant(state.account, state.leases[lease], call, 1, self._windows(state))
        after = self._count(state.with_account(answer.account), answer.windows)
        if answer.lease is not None:
            after = _put_lease(after, lease, answer.lease)
        if answer.outcome is LeaseOutcome.DONE:
            has_it = edge._replace(lease=lease, asks=None, spent=0)
            yield f"edge {number} is granted lease {lease}", _put_edge(after, number, has_it)
        if answer.outcome is LeaseOutcome.CONFLICT:
            yield f"edge {number} learns that lease {lease} is gone", _put_edge(after, number, edge._replace(asks=None))
        if state.left.lost_answers:
            left = state.left._replace(lost_answers=state.left.lost_answers - 1)
            asking = _put_edge(after, number, edge._replace(asks=lease))
            yield f"edge {number} asks for lease {lease}, the answer is lost", asking._replace(left=left)

    def _spend(self, state: State, number: int) -> Iterator[tuple[str, State]]:
        edge = state.edges[number]
        assert edge.boot is not None
        assert edge.lease is not None
        usage = Usage(edge.boot, edge.next_seq, edge.lease)
        spent = edge._replace(spent=1, next_seq=edge.next_seq + 1, requests=edge.requests - 1)
        state = _put_edge(state, number, spent)
        yield f"edge {number} spends on lease {edge.lease}", _append(state, usage)
        left = state.left
        if left.outages:
            spooled = _put_spool(state, number, (*state.spools[number], usage))
            after = spooled._replace(left=left._replace(outages=left.outages - 1))
            yield f"edge {number} spends on lease {edge.lease}, Kafka is down", after
        if left.resends:
            spooled = _append(_put_spool(state, number, (*state.spools[number], usage)), usage)
            after = spooled._replace(left=left._replace(resends=left.resends - 1))
            yield f"edge {number} spends on lease {edge.lease}, the acknowledgement is lost", after

    def _close(self, state: State, number: int) -> State:
        edge = state.edges[number]
        assert edge.lease is not None
        lease = state.leases[edge.lease]
        assert lease is not None
        call = UpdateLease(lease.lease_id, ACCOUNT, lease.boot_id, edge.spent, 0, close=True, rev=lease.rev + 1)
        answer = update_lease(state.account, lease, call, 1, state.windows)
        assert answer.lease is not None
        state = self._count(state, answer.windows)
        account, closed = answer.account, answer.lease
        if not self._rules.hold_after_close:
            account = account._replace(held_nano=account.held_nano - closed.hold_nano)
            closed = closed._replace(state=LeaseState.RELEASED)
        state = _put_lease(self._give_back(state, account), edge.lease, closed)
        return _put_edge(state, number, edge._replace(lease=None, spent=0))

    def _begin_anew(self, state: State, number: int) -> State:
        boots = (*state.boots, Boot())
        requests = state.edges[number].requests
        return _put_edge(state._replace(boots=boots), number, Edge(len(boots) - 1, requests))

    def _spool_steps(self, state: State, number: int) -> Iterator[tuple[str, State]]:
        spool = state.spools[number]
        if not spool:
            return
        yield f"edge {number} replays its spool", _append(_put_spool(state, number, spool[1:]), spool[0])
        if state.left.lost_spools:
            left = state.left._replace(lost_spools=state.left.lost_spools - 1)
            yield f"the spool of edge {number} is lost", _put_spool(state, number, ())._replace(left=left)

    # --- the balance service ------------------------------------------------------------------------------------------

    def _consume(self, state: State) -> State:
        usage, boots = state.log[0], tuple(_consumed(boot) for boot in state.boots)
        state = state._replace(log=state.log[1:], boots=boots)
        if usage in state.seen and self._rules.drop_duplicates:
            return state
        lease = state.leases[usage.lease]
        assert lease is not None
        before = dict(enumerate(state.windows))
        charged, settled, windows = settle(state.account, {lease.lease_id: lease}, {lease.lease_id: 1}, before)
        if not self._rules.write_off and charged.written_off_nano:
            charged = charged._replace(account=charged.account._replace(posted_nano=state.account.posted_nano - 1))
        state = self._count(state, tuple(windows))
        state = _put_lease(state.with_account(charged.account), usage.lease, settled[0])._replace(
            seen=state.seen | {usage}, written_off=state.written_off + charged.written_off_nano
        )
        if state.account.expiring_nano and self._rules.burn_while_expiring:
            return self._collect(state, take(state.portfolio))
        return state

    def _boot_steps(self, state: State, number: int) -> Iterator[tuple[str, State]]:
        boot = state.boots[number]
        if boot.is_released or not self._rules.fence_the_silent:
            return
        if boot.ends is None and (boot.is_fenced or not self._rules.read_ends_after_fence):
            yield f"the ends are read for boot {number}", _put_boot(state, number, boot._replace(ends=len(state.log)))
        is_alive = any(edge.boot == number for edge in state.edges)
        may_fence = not boot.is_fenced and (state.left.false_alarms or not is_alive)
        if may_fence and (boot.ends is not None or self._rules.read_ends_after_fence):
            left = state.left._replace(false_alarms=state.left.false_alarms - is_alive)
            fenced = _put_boot(state, number, boot._replace(is_fenced=True))
            yield f"boot {number} is fenced", fenced._replace(left=left)
        if boot.is_fenced and boot.ends is not None and (boot.ends == 0 or not self._rules.wait_for_consumption):
            yield f"boot {number} is released", self._release(state, number)

    def _release(self, state: State, number: int) -> State:
        own = [
            lease
            for lease in state.leases
            if lease is not None and lease.boot_id == str(number) and lease.state is not LeaseState.RELEASED
        ]
        account, released, windows = release(state.account, own, dict(enumerate(state.windows)))
        state = self._give_back(state, account)
        if self._rules.release_in_budgets:
            state = self._count(state, tuple(windows))
        for lease in released:
            state = _put_lease(state, int(lease.lease_id), lease)
        return _put_boot(state, number, state.boots[number]._replace(is_released=True))

    def _windows(self, state: State) -> tuple[BudgetWindow, ...]:
        if self._rules.look_at_budgets:
            return state.windows
        return tuple(one._replace(amount_nano=self._bounds.credit + one.amount_nano) for one in state.windows)

    def _count(self, state: State, windows: tuple[BudgetWindow, ...]) -> State:
        if not windows:
            return state
        [before], [after] = state.windows, windows
        held_nano = after.held_nano if self._rules.hold_in_budgets else before.held_nano
        counted = after._replace(amount_nano=before.amount_nano, held_nano=held_nano)
        return state._replace(windows=(counted,))

    def _reduce(self, state: State) -> State:
        account = state.account._replace(due_nano=state.reduction)
        if not self._rules.reduce_only_available:
            left_nano, unburned_nano = account.posted_nano - state.reduction, account.unburned_nano + state.reduction
            account = account._replace(posted_nano=left_nano, unburned_nano=unburned_nano, due_nano=0)
            return state.with_account(account)._replace(reduced=state.reduction, reduction=0)
        return self._collect(state, take(state.portfolio._replace(account=account)))._replace(reduction=0)

    def _expire(self, state: State) -> State:
        portfolio = state.portfolio
        if not self._rules.burn_before_expiry:
            # As if nothing had been taken since.
            portfolio = portfolio._replace(account=portfolio.account._replace(unburned_nano=0))
        portfolio = expire(portfolio, {PROMO})
        if not self._rules.expire_only_available:
            left_nano = portfolio.account.expiring_nano
            account = portfolio.account._replace(posted_nano=portfolio.account.posted_nano - left_nano, expiring_nano=0)
            grants = (
                one._replace(remaining_nano=0, expired_nano=one.remaining_nano) if one.is_expired else one
                for one in portfolio.grants
            )
            return state._replace(portfolio=open_portfolio(account, grants), may_expire=False)
        return self._collect(state, collect_all(portfolio))._replace(may_expire=False)

    def _give_back(self, state: State, account: Account) -> State:
        if not self._rules.collect_what_is_due:
            return state.with_account(account)
        if not self._rules.expire_what_comes_back:
            account, taken = collect(account)
            return state.with_account(account)._replace(reduced=state.reduced + taken)
        return self._collect(state, take(state.portfolio._replace(account=account)))

    def _collect(self, state: State, collected: Collected) -> State:
        return state._replace(portfolio=collected.portfolio, reduced=state.reduced + collected.taken_nano)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def wrong(self, state: State) -> str | None:
        account = state.account
        holds = sum(lease.hold_nano for lease in state.leases if lease is not None)
        if not account.posted_nano >= account.held_nano == holds:
            return f"{account} with holds of {holds}"
        if account.due_nano and account.available_nano:
            return f"{account.available_nano} are available while {account.due_nano} are due"
        expired = sum(grant.expired_nano for grant in state.portfolio.grants)
        posted = self._bounds.credit - len(state.seen) + state.written_off - state.reduced - expired
        if account.posted_nano != posted:
            return f"{account.posted_nano} posted, expected {posted}"
        return _wrong_grants(state.portfolio) or _wrong_budget(state, holds) or self._wrong_write_off(state)

    def _wrong_write_off(self, state: State) -> str | None:
        if state.written_off > state.uncovered:
            return f"{state.written_off} written off, but only {state.uncovered} came after its boot was fenced"
        return None

    def is_at_rest(self, state: State) -> bool:
        """All usage is in the ledger, and nothing is held for nobody."""
        return not state.log and not any(state.spools) and state.account.held_nano == 0


def _wrong_grants(portfolio: CreditPortfolio) -> str | None:
    account = portfolio.account
    remaining = sum(grant.remaining_nano for grant in portfolio.grants) - account.unburned_nano
    if account.posted_nano != remaining:
        return f"{account.posted_nano} posted, {remaining} remain of the grants"
    if account.expiring_nano and account.available_nano:
        return f"{account.available_nano} are available while {account.expiring_nano} are expiring"
    expiring_nano = burn(portfolio).account.expiring_nano
    if account.expiring_nano != expiring_nano:
        return f"{account.expiring_nano} count as expiring, {expiring_nano} remain"
    return None


def _wrong_budget(state: State, holds: int) -> str | None:
    for one in state.windows:
        if one.spent_nano + one.held_nano > one.amount_nano + state.uncovered:
            return f"{one.spent_nano} spent and {one.held_nano} held of a budget of {one.amount_nano}"
        if (one.spent_nano, one.held_nano) != (len(state.seen), holds):
            return f"a budget counts {one.spent_nano} and {one.held_nano}, of {len(state.seen)} spent and {holds} held"
    return None


def _credited(bounds: Bounds) -> CreditPortfolio:
    """The account with its credit, of which the promo is a part."""
    portfolio = open_portfolio(Account(ACCOUNT, 0, 0), ())
    if bounds.promo:
        portfolio = add(portfolio, CreditGrant(PROMO, ACCOUNT, PROMO, bounds.promo, 100, BEGINNING, BEGINNING))
    if bounds.credit > bounds.promo:
        portfolio = add(
            portfolio, CreditGrant("paid", ACCOUNT, "payment", bounds.credit - bounds.promo, 100, BEGINNING)
        )
    return portfolio


def _unused(state: State) -> int | None:
    taken = {edge.asks for edge in state.edges}
    return next((n for n, lease in enumerate(state.leases) if lease is None and n not in taken), None)


def _append(state: State, usage: Usage) -> State:
    late = state.boots[usage.boot].is_fenced and usage not in state.seen and usage not in state.log
    return state._replace(log=(*state.log, usage), uncovered=state.uncovered + late)


def _consumed(boot: Boot) -> Boot:
    return boot if boot.ends is None else boot._replace(ends=max(0, boot.ends - 1))


def _put_edge(state: State, number: int, edge: Edge) -> State:
    return state._replace(edges=(*state.edges[:number], edge, *state.edges[number + 1 :]))


def _put_boot(state: State, number: int, boot: Boot) -> State:
    return state._replace(boots=(*state.boots[:number], boot, *state.boots[number + 1 :]))


def _put_lease(state: State, number: int, lease: Lease) -> State:
    return state._replace(leases=(*state.leases[:number], lease, *state.leases[number + 1 :]))


def _put_spool(state: State, number: int, spool: tuple[Usage, ...]) -> State:
    return state._replace(spools=(*state.spools[:number], spool, *state.spools[number + 1 :]))
