"""Two grants of one account at once, statement by statement: what each transaction tests, and when it writes.

Under PostgreSQL's READ COMMITTED a statement sees what was committed when it began; a row that it updates or locks is
waited for, and its condition looked at again.
"""

from collections.abc import Iterator
from typing import NamedTuple

from models.explorer import Exploration, explore

POSTED, ASKED = 3, 2


class RaceRules(NamedTuple):
    """Each is part of the protocol; without it a counterexample must be found."""

    test_the_row: bool = True
    """What is held stands in the account's own row, which the grant has locked; no sum over the leases is tested."""
    one_transaction: bool = True
    """The lease's row is written in the transaction that raises `held`."""


class Grant(NamedTuple):
    """`sees` is what is held, as its first statement saw it."""

    at: str = "begin"
    sees: int = 0


class State(NamedTuple):
    held: int
    leases: int
    """The sum of the leases that are committed."""
    locked_by: int | None
    grants: tuple[Grant, ...]
    deaths: int


def explore_race(rules: RaceRules) -> Exploration[State]:
    initial = State(0, 0, None, (Grant(), Grant()), 1)
    return explore(initial, Race(rules).successors, wrong, is_at_rest)


class Race:
    def __init__(self, rules: RaceRules) -> None:
        self._rules = rules

    def successors(self, state: State) -> Iterator[tuple[str, State]]:
        for index, grant in enumerate(state.grants):
            if grant.at == "begin":
                yield from self._begin(state, index)
            elif grant.at == "write":
                yield from self._write(state, index, grant)
            elif grant.at == "lease":
                yield (
                    f"grant {index} writes its lease",
                    _put(state, index, Grant("end"))._replace(leases=state.leases + ASKED),
                )
            if grant.at != "end" and state.deaths:
                locked_by = None if state.locked_by == index else state.locked_by
                died = _put(state, index, Grant("end"))
                yield f"grant {index} dies", died._replace(locked_by=locked_by, deaths=state.deaths - 1)

    def _begin(self, state: State, index: int) -> Iterator[tuple[str, State]]:
        if not self._rules.test_the_row:
            yield f"grant {index} adds up the leases: {state.leases}", _put(state, index, Grant("write", state.leases))
        elif state.locked_by is None:
            locked = _put(state, index, Grant("write", state.held))
            yield f"grant {index} locks the account, which holds {state.held}", locked._replace(locked_by=index)

    def _write(self, state: State, index: int, grant: Grant) -> Iterator[tuple[str, State]]:
        locked_by = None if state.locked_by == index else state.locked_by
        if grant.sees + ASKED > POSTED:
            yield f"grant {index} is refused", _put(state, index, Grant("end"))._replace(locked_by=locked_by)
            return
        raised = state._replace(held=state.held + ASKED, locked_by=locked_by)
        if self._rules.one_transaction:
            yield f"grant {index} commits", _put(raised, index, Grant("end"))._replace(leases=state.leases + ASKED)
        else:
            yield f"grant {index} commits, but for its lease", _put(raised, index, Grant("lease"))


def wrong(state: State) -> str | None:
    if state.held > POSTED:
        return f"{state.held} are held of {POSTED}"
    if is_at_rest(state) and state.held != state.leases:
        return f"{state.held} are held, leases hold {state.leases}"
    return None


def is_at_rest(state: State) -> bool:
    return all(grant.at == "end" for grant in state.grants)


def _put(state: State, index: int, grant: Grant) -> State:
    return state._replace(grants=(*state.grants[:index], grant, *state.grants[index + 1 :]))
