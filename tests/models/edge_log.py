"""One partition of the log, from the edge's stamp to a consumer's knowledge: outages, lost acknowledgements, crashes.

The consumer decides with the code's own sequence state. Each rule of docs/exactly-once.md about sequence numbers can be
switched off.
"""

from collections.abc import Iterator
from typing import NamedTuple

from models.explorer import Exploration, explore
from tollgate_common.sequence import BootSequence

BOOTS = 2


class LogRules(NamedTuple):
    """Each is part of the protocol; without it a counterexample must be found."""

    keep_stamp: bool = True
    """A resend carries the stamp of the first sending."""
    spool_before_later: bool = True
    """An event without acknowledgement is in the spool before any later seq leaves."""
    answer_when_durable: bool = True
    """A client has its answer's last byte once its event is acknowledged or spooled."""
    count_durable_only: bool = True
    """A heartbeat counts what is acknowledged or spooled, not what is stamped."""
    boot_anew: bool = True
    """A process that starts draws a boot of its own instead of counting on."""
    keep_gap: bool = True
    """An event that was given up stays a gap until it is sent again."""
    drop_duplicates: bool = True


class Bounds(NamedTuple):
    events: int = 3
    crashes: int = 1
    lost_acks: int = 1
    outages: int = 1
    poison: int = 0
    """Events that a consumer gives up and an operator sends again."""


class Sent(NamedTuple):
    """An event; `name` is what it is about, whatever its stamp."""

    name: int
    boot: int
    seq: int


class State(NamedTuple):
    boot: int
    next_name: int
    next_seq: int
    pending: Sent | None
    """On its way, with nothing later sent."""
    is_out: bool
    """Kafka was found not to acknowledge: events go to the spool until that is replayed."""
    spool: tuple[Sent, ...]
    log: tuple[Sent, ...]
    """What is not consumed yet."""
    answered: frozenset[int]
    counted: tuple[int, ...]
    """By boot, the seqs that its newest heartbeat tells of."""
    seen: tuple[BootSequence, ...]
    effects: tuple[int, ...]
    """Names of the events that took effect."""
    dead: tuple[Sent, ...]
    left: Bounds


def explore_log(rules: LogRules, bounds: Bounds) -> Exploration[State]:
    """Every interleaving of an edge's sendings, its deaths, and a consumer."""
    nothing = (BootSequence(),) * BOOTS
    initial = State(0, 0, 0, None, False, (), (), frozenset(), (0,) * BOOTS, nothing, (), (), bounds)
    model = EdgeLog(rules, bounds)
    return explore(initial, model.successors, model.wrong, model.is_at_rest)


class EdgeLog:
    def __init__(self, rules: LogRules, bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds

    def successors(self, state: State) -> Iterator[tuple[str, State]]:
        if state.pending is None and state.next_name < self._bounds.events:
            yield self._stamp(state)
        if state.pending is not None:
            yield from self._send(state, state.pending)
        if state.spool:
            yield self._replay(state)
        elif state.is_out:
            yield "the spool is replayed", state._replace(is_out=False)
        if state.left.crashes:
            yield "the edge dies, another adopts its spool", self._crash(state)
        if state.log:
            yield from self._consume(state)
        if state.dead:
            yield (
                "an operator sends a dead letter again",
                state._replace(dead=state.dead[1:], log=(*state.log, state.dead[0])),
            )

    # --- the edge -----------------------------------------------------------------------------------------------------

    def _stamp(self, state: State) -> tuple[str, State]:
        sent = Sent(state.next_name, state.boot, state.next_seq)
        stamped = state._replace(pending=sent, next_name=sent.name + 1, next_seq=sent.seq + 1)
        if not self._rules.answer_when_durable:
            stamped = stamped._replace(answered=stamped.answered | {sent.name})
        if not self._rules.count_durable_only:
            stamped = self._count(stamped, sent)
        return f"event {sent.name} is stamped {sent.boot}/{sent.seq}", stamped

    def _send(self, state: State, sent: Sent) -> Iterator[tuple[str, State]]:
        if state.is_out:
            yield f"event {sent.name} is spooled", self._durable(state, sent)._replace(spool=(*state.spool, sent))
            return
        arrived = state._replace(log=(*state.log, sent))
        yield f"event {sent.name} is acknowledged", self._durable(arrived, sent)
        left = state.left
        if left.lost_acks:
            left = left._replace(lost_acks=left.lost_acks - 1)
            yield f"the acknowledgement of {sent.name} is lost", self._unacknowledged(arrived, sent)._replace(left=left)
        if state.left.outages:
            left = state.left._replace(outages=state.left.outages - 1)
            yield f"Kafka does not take {sent.name}", self._unacknowledged(state, sent)._replace(left=left)

    def _unacknowledged(self, state: State, sent: Sent) -> State:
        again = sent if self._rules.keep_stamp else sent._replace(seq=state.next_seq)
        state = state._replace(next_seq=max(state.next_seq, again.seq + 1))
        if self._rules.spool_before_later:
            return state._replace(pending=again, is_out=True)
        # It waits in memory, and later ones pass it.
        return state._replace(pending=None)

    def _durable(self, state: State, sent: Sent) -> State:
        state = state._replace(pending=None, answered=state.answered | {sent.name})
        return self._count(state, sent) if self._rules.count_durable_only else state

    @staticmethod
    def _count(state: State, sent: Sent) -> State:
        counted = list(state.counted)
        counted[sent.boot] = sent.seq + 1
        return state._replace(counted=tuple(counted))

    @staticmethod
    def _replay(state: State) -> tuple[str, State]:
        first, *rest = state.spool
        return f"event {first.name} is replayed", state._replace(spool=tuple(rest), log=(*state.log, first))

    def _crash(self, state: State) -> State:
        left = state.left._replace(crashes=state.left.crashes - 1)
        anew = state._replace(pending=None, is_out=bool(state.spool), left=left)
        if self._rules.boot_anew:
            return anew._replace(boot=state.boot + 1, next_seq=0)
        # It would count on from the last that it knows of: what it had on its way is not there.
        return anew._replace(next_seq=state.counted[state.boot])

    # --- a consumer ---------------------------------------------------------------------------------------------------

    def _consume(self, state: State) -> Iterator[tuple[str, State]]:
        sent, boot = state.log[0], state.seen[state.log[0].boot]
        rest = state._replace(log=state.log[1:])
        if boot.has(sent.seq) and self._rules.drop_duplicates:
            yield f"a copy of {sent.boot}/{sent.seq} is dropped", rest
            return
        seen = boot if boot.has(sent.seq) else boot.with_seq(sent.seq)
        after = _put(rest, sent.boot, seen)
        yield f"event {sent.name} takes effect", after._replace(effects=(*state.effects, sent.name))
        if state.left.poison:
            given_up = rest if self._rules.keep_gap else after
            left = state.left._replace(poison=state.left.poison - 1)
            yield f"event {sent.name} is given up", given_up._replace(dead=(*state.dead, sent), left=left)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def wrong(self, state: State) -> str | None:
        if len(set(state.effects)) < len(state.effects):
            return f"an event counts twice: {state.effects}"
        if self._is_still(state):
            lost = state.answered - set(state.effects)
            if lost:
                return f"answered and lost: {sorted(lost)}"
            for boot, (seen, counted) in enumerate(zip(state.seen, state.counted, strict=True)):
                if seen.missing or seen.high < counted:
                    return f"an alarm for ever: boot {boot} has {seen}, its heartbeat tells of {counted}"
        return None

    def _is_still(self, state: State) -> bool:
        """Nothing is on its way any more, and nobody will send anything."""
        return not (state.log or state.spool or state.dead or state.pending) and state.next_name == self._bounds.events

    def is_at_rest(self, state: State) -> bool:
        return self._is_still(state)


def _put(state: State, boot: int, seen: BootSequence) -> State:
    return state._replace(seen=(*state.seen[:boot], seen, *state.seen[boot + 1 :]))
