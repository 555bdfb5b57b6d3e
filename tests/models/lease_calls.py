"""The lease calls of one edge over a network that loses answers, delays calls and delivers copies of them.

The balance side is the code's own `grant` and `update_lease`; the edge keeps the rules of docs/leases.md, each of which
can be switched off.
"""

from collections.abc import Iterator
from typing import NamedTuple

from models.explorer import Exploration, explore
from tollgate_balance.leases.rules import Answer, Grant, Lease, UpdateLease, grant, update_lease
from tollgate_balance.ledger.accounts import Account
from tollgate_common.lease_protocol import LeaseOutcome, LeaseState

CREDIT = 3
LEASE, ACCOUNT, BOOT = "lease", "account", "boot"

Call = Grant | UpdateLease


class CallRules(NamedTuple):
    """Each is part of the protocol; without it a counterexample must be found."""

    absolute: bool = True
    """A call sets what is authorised instead of adding to it."""
    compare_rev: bool = True
    """A call is applied only to the lease that its caller saw."""
    lower_first: bool = True
    """The edge lowers its own limit before it asks to shrink or close."""
    raise_late: bool = True
    """The edge raises its limit only by what an answer says."""
    close_orphans: bool = True
    """An open lease that the edge does not know of is closed when a renewal tells of it."""


class State(NamedTuple):
    account: Account
    lease: Lease | None
    """As PostgreSQL has them."""
    others_hold: int
    """What other leases hold of the account."""
    knows: bool
    """Whether the edge has the lease; with `limit` and `rev` as it believes them."""
    limit: int
    rev: int
    spent: int
    asked: int
    """The most that the edge ever asked to be authorised."""
    is_wanted: bool
    """Whether the edge's client still waits."""
    call: Call | None
    """The edge's one call under way."""
    network: frozenset[Call]
    calls_left: int
    """Extending and shrinking is bounded, so that the model is."""


def explore_calls(rules: CallRules, calls: int = 3) -> Exploration[State]:
    """Every interleaving of a lease's calls, of which `calls` extend or shrink it."""
    initial = State(
        account=Account(ACCOUNT, CREDIT, CREDIT),
        lease=None,
        others_hold=CREDIT,
        knows=False,
        limit=0,
        rev=0,
        spent=0,
        asked=0,
        is_wanted=True,
        call=None,
        network=frozenset(),
        calls_left=calls,
    )
    return explore(initial, LeaseCalls(rules).successors, wrong, is_at_rest)


class LeaseCalls:
    def __init__(self, rules: CallRules) -> None:
        self._rules = rules

    def successors(self, state: State) -> Iterator[tuple[str, State]]:
        if state.others_hold:
            account = state.account._replace(held_nano=state.account.held_nano - state.others_hold)
            yield "others give back", state._replace(account=account, others_hold=0)
        if state.knows and state.spent < state.limit:
            yield "the edge spends 1", state._replace(spent=state.spent + 1)
        if not state.knows and state.call is None and state.is_wanted:
            yield "the client leaves", state._replace(is_wanted=False)
        if state.call is not None:
            yield "the edge repeats its call", state._replace(network=state.network | {state.call})
        else:
            for call in self._choices(state):
                yield f"the edge sends {_text(call)}", self._send(state, call)
        for call in state.network:
            yield from self._deliver(state, call)
        yield from self._close_orphan(state)

    def _choices(self, state: State) -> Iterator[Call]:
        if not state.knows:
            if state.is_wanted:
                yield Grant(LEASE, ACCOUNT, BOOT, 1, 0)
            return
        if state.limit < CREDIT and state.calls_left:
            yield _setting(state, state.limit + 1)
        if state.spent < state.limit and state.calls_left:
            yield _setting(state, state.spent)
        yield _setting(state, state.spent, close=True)

    def _send(self, state: State, call: Call) -> State:
        sent = state._replace(call=call, network=state.network | {call})
        if isinstance(call, Grant):
            return sent._replace(asked=1)
        if not call.close:
            sent = sent._replace(calls_left=state.calls_left - 1)
        if call.limit_nano > state.limit:
            limit = state.limit if self._rules.raise_late else call.limit_nano
            return sent._replace(limit=limit, asked=max(state.asked, call.limit_nano))
        return sent._replace(limit=state.spent) if self._rules.lower_first else sent

    def _deliver(self, state: State, call: Call) -> Iterator[tuple[str, State]]:
        for keeps_copy in (False, True):
            what = f"balance gets {_text(call)}" + (", a copy stays under way" if keeps_copy else "")
            network = state.network if keeps_copy else state.network - {call}
            answer = self._answer(state, call)
            after = state._replace(account=answer.account, lease=answer.lease or state.lease, network=network)
            yield f"{what}, the answer is lost", after
            if call == state.call:
                yield f"{what}, answers {answer.outcome}", self._receive(after, call, answer)

    def _answer(self, state: State, call: Call) -> Answer:
        if isinstance(call, Grant):
            return grant(state.account, state.lease, call, 1)
        assert state.lease is not None
        if not self._rules.compare_rev and state.lease.state is LeaseState.OPEN:
            call = call._replace(rev=state.lease.rev + 1)
        if not self._rules.absolute and call.limit_nano > state.limit:
            call = call._replace(limit_nano=state.lease.limit_nano + 1, rev=state.lease.rev + 1)
        return update_lease(state.account, state.lease, call, 1)

    def _receive(self, state: State, call: Call, answer: Answer) -> State:
        state = state._replace(call=None)
        lease = answer.lease
        if lease is None:
            return state
        if lease.state is not LeaseState.OPEN:
            return state._replace(knows=False, limit=0, is_wanted=False)
        if answer.outcome is not LeaseOutcome.DONE:
            return state._replace(rev=lease.rev)
        lowers = isinstance(call, UpdateLease) and call.limit_nano <= state.limit
        limit = call.limit_nano if isinstance(call, UpdateLease) and lowers else lease.limit_nano
        return state._replace(knows=True, limit=limit, rev=lease.rev)

    def _close_orphan(self, state: State) -> Iterator[tuple[str, State]]:
        if not self._rules.close_orphans or state.knows or state.call is not None or state.lease is None:
            return
        if state.lease.state is LeaseState.OPEN:
            call = UpdateLease(LEASE, ACCOUNT, BOOT, state.spent, 0, close=True, rev=state.lease.rev + 1)
            answer = update_lease(state.account, state.lease, call, 1)
            yield "a renewal tells of an orphan: closed", state._replace(account=answer.account, lease=answer.lease)


def wrong(state: State) -> str | None:
    hold = state.others_hold + (0 if state.lease is None else state.lease.hold_nano)
    if not state.account.posted_nano >= state.account.held_nano == hold:
        return f"{state.account} with holds of {hold}"
    authorised = 0 if state.lease is None else state.lease.limit_nano
    if state.knows and state.limit > authorised:
        return f"the edge may spend {state.limit}, balance holds {authorised}"
    if state.spent > authorised:
        return f"{state.spent} are spent, balance holds {authorised}"
    if authorised > state.asked:
        return f"balance holds {authorised}, the edge never asked for more than {state.asked}"
    return None


def is_at_rest(state: State) -> bool:
    """Nothing is under way, and what is held is what was spent."""
    if state.network or state.call is not None or state.others_hold:
        return False
    lease = state.lease
    return lease is None or (lease.state is LeaseState.CLOSED and lease.limit_nano == state.spent)


def _setting(state: State, authorised: int, *, close: bool = False) -> UpdateLease:
    return UpdateLease(LEASE, ACCOUNT, BOOT, authorised, 0, close, state.rev + 1)


def _text(call: Call) -> str:
    if isinstance(call, Grant):
        return "grant"
    return f"{'close' if call.close else 'set'} {call.limit_nano} rev {call.rev}"
