"""An explicit-state model checker: breadth-first over every interleaving, so a counterexample is a shortest one."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

StateT = TypeVar("StateT", bound=Hashable)
Parents = dict[StateT, tuple[StateT, str] | None]
Successors = Callable[[StateT], Iterable[tuple[str, StateT]]]


@dataclass
class Exploration(Generic[StateT]):
    """What was found: `violation` is None if every state was right, `trace` the steps to the first that was not."""

    states: int
    violation: str | None = None
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([f"{self.violation or 'right'} ({self.states} states)", *self.trace])


def explore(
    initial: StateT,
    successors: Successors[StateT],
    wrong: Callable[[StateT], str | None],
    is_at_rest: Callable[[StateT], bool],
    max_states: int = 1_000_000,
) -> Exploration[StateT]:
    """Visit every state that can be reached.

    Args:
        initial: where it begins.
        successors: every step from a state: what happens, and the state after it.
        wrong: None for a state that is right, otherwise what is wrong with it.
        is_at_rest: from every state, one for which this holds must be reachable; otherwise something is stuck.
        max_states: more than these is a model that is too large for its purpose.
    """
    parents: Parents[StateT] = {initial: None}
    predecessors: dict[StateT, list[StateT]] = {}
    queue = deque([initial])
    while queue:
        state = queue.popleft()
        if violation := wrong(state):
            return Exploration(len(parents), violation, _trace(parents, state))
        for step, following in successors(state):
            predecessors.setdefault(following, []).append(state)
            if following not in parents:
                assert len(parents) < max_states, f"the model has more than {max_states} states"
                parents[following] = (state, step)
                queue.append(following)
    alive = _reaching({state for state in parents if is_at_rest(state)}, predecessors)
    # In the order of their discovery, so the first is a nearest one.
    stuck = next((state for state in parents if state not in alive), None)
    if stuck is not None:
        return Exploration(len(parents), f"stuck in {stuck}", _trace(parents, stuck))
    return Exploration(len(parents))


def _reaching(targets: set[StateT], predecessors: dict[StateT, list[StateT]]) -> set[StateT]:
    found, unvisited = set(targets), list(targets)
    while unvisited:
        new = [state for state in predecessors.get(unvisited.pop(), ()) if state not in found]
        found.update(new)
        unvisited.extend(new)
    return found


def _trace(parents: Parents[StateT], state: StateT) -> list[str]:
    steps = []
    while (parent := parents[state]) is not None:
        state, step = parent
        steps.append(step)
    return steps[::-1]
