"""Two sinks, one partition, one table: every interleaving of their cycles with crashes, pauses and an engine that dies.

The model decides with the code's own `build_block`, `InsertState` and sequence state. What surrounds them is modelled:
the group and its commits, the table with its deduplication window and its deadline for rows, inserts that land late.
Time passes in ticks, at any moment; a token is known for `window` of them. Each rule of docs/exactly-once.md can be
switched off.
"""

from collections.abc import Iterator
from typing import NamedTuple

from models.explorer import Exploration, explore
from models.sink_records import STAMPS, Seen, build, recover
from models.sink_rules import Bounds, SinkRules
from tollgate_common.clickhouse.insert_state import Declaration, InsertState, Step
from tollgate_common.errors import InconsistentState


class Insert(NamedTuple):
    declared: Declaration
    rows: tuple[int, ...]
    left: int
    """Ticks until the deadline, negative after it."""


class Sink(NamedTuple):
    """A process: what it is about to do, and what it knows. That it does nothing for long is a pause."""

    about_to: str = "start"
    resume_at: int = 0
    seen: Seen | None = None
    """The sequence state below `resume_at`, or below the block that is on its way; None if not recovered yet."""
    landing: InsertState | None = None
    rows: tuple[int, ...] = ()
    left: int = 0


class World(NamedTuple):
    committed: int
    declared: Declaration | None
    owner: int | None
    sinks: tuple[Sink, ...]
    rows: tuple[int, ...]
    """Offsets of the records that the table's rows were made of."""
    tokens: tuple[tuple[Declaration, int], ...]
    """The engine's dedup log: a token (and month: it is one log a table partition) and its age."""
    late: tuple[Insert, ...]
    kills: int
    months: int
    resets: int

    def with_sink(self, index: int, sink: Sink, **changes: object) -> "World":
        sinks = (*self.sinks[:index], sink, *self.sinks[index + 1 :])
        return self._replace(sinks=sinks, **changes)  # type: ignore[arg-type] # as `_replace` would say it


# While it is about to do one of these, the deadline of its declaration counts.
HAS_DEADLINE = {"declare", "land", "hear"}
# Rules that change neither who may commit nor when an insert is accepted.
WITHIN_A_DECLARATION = ("drop_duplicates", "judge_by_record_time", "wait_before_fresh_token", "declare_fresh_token")
STOPPED = Sink("stay stopped")
MAX_STATES = 1_000_000
Steps = Iterator[tuple[str, World]]


def explore_sinks(rules: SinkRules, bounds: Bounds, max_states: int = MAX_STATES) -> Exploration[World]:
    """Every interleaving of two sinks that share a partition."""
    initial = World(0, None, None, (Sink(), Sink()), (), (), (), bounds.kills, bounds.months, bounds.resets)
    model = SinkWorld(rules, bounds)
    return explore(initial, model.successors, model.wrong, model.is_at_rest, max_states=max_states)


def can_insert(sink: Sink) -> bool:
    """Whether it can, or has sent what can land, without another commit."""
    is_landing = sink.landing is not None and sink.about_to == "land" and not sink.landing.acknowledged
    return sink.about_to == "hear" or (is_landing and sink.left > 0)


class SinkWorld:
    def __init__(self, rules: SinkRules, bounds: Bounds) -> None:
        self._rules, self._bounds = rules, bounds
        self._stamps = STAMPS[bounds.records]
        fenced_as_it_should_be = rules._replace(**dict.fromkeys(WITHIN_A_DECLARATION, True)) == SinkRules()
        self._is_reducible = fenced_as_it_should_be and not bounds.resets

    def wrong(self, world: World) -> str | None:
        stamps = [self._stamps[offset] for offset in world.rows]
        if len(set(stamps)) < len(stamps):
            return f"a row twice: {stamps}"
        lost = [offset for offset in range(world.committed) if self._stamps[offset] not in stamps]
        if lost:
            return f"records {lost} are lost: {world.committed} is committed"
        if STOPPED in world.sinks and not self._bounds.resets:
            return "stopped without need"
        return None

    def is_at_rest(self, world: World) -> bool:
        everything_is_there = world.committed == len(self._stamps) and world.declared is None
        return everything_is_there or (STOPPED in world.sinks and self._bounds.resets > world.resets)

    def successors(self, world: World) -> Steps:
        for step, after in self._steps(world):
            yield step, self._reduced(after) if self._is_reducible else after

    def _reduced(self, world: World) -> World:
        """The same world as far as anything can still happen in it, if the rules of commits and deadlines hold.

        A sink that does not own the partition is fenced at its next commit, so one that cannot insert before that is as
        good as dead. A token matters as long as an insert under it can come.
        """
        sinks = tuple(
            sink if index == world.owner or can_insert(sink) or sink.about_to in {"recover", "stay stopped"} else Sink()
            for index, sink in enumerate(world.sinks)
        )
        coming = {insert.declared for insert in world.late} | {sink.landing.declared for sink in sinks if sink.landing}
        tokens = tuple(pair for pair in world.tokens if pair[0].start >= world.committed or pair[0] in coming)
        return world._replace(sinks=sinks, tokens=tokens)

    def _steps(self, world: World) -> Steps:
        yield from self._surroundings(world)
        for index, sink in enumerate(world.sinks):
            yield from self._fate(world, index, sink)
            if sink != STOPPED:
                yield from getattr(self, f"_{sink.about_to.replace(' ', '_')}")(world, index, sink)

    # --- what happens to all ------------------------------------------------------------------------------------------

    def _surroundings(self, world: World) -> Steps:
        if (later := self._tick(world)) != world:
            yield "time passes", later
        if world.months:
            yield "the month turns", world._replace(months=world.months - 1)
        if world.resets and world.owner is None and world.committed:
            yield (
                "somebody sets the committed offset back",
                world._replace(committed=0, declared=None, resets=world.resets - 1),
            )
        for insert in set(world.late):
            rest = list(world.late)
            rest.remove(insert)
            for what, after, _ in self._executed(world._replace(late=tuple(rest)), insert):
                yield f"a late insert of {insert.declared.text()} {what}", after

    def _tick(self, world: World) -> World:
        over = -self._bounds.runs - 1
        aged = [(token, age + 1) for token, age in world.tokens if age + 1 < self._bounds.window]
        sinks = (
            sink._replace(left=max(sink.left - 1, over)) if sink.about_to in HAS_DEADLINE else sink
            for sink in world.sinks
        )
        late = (insert._replace(left=max(insert.left - 1, over)) for insert in world.late)
        return world._replace(tokens=tuple(aged), sinks=tuple(sinks), late=tuple(sorted(late)))

    def _executed(self, world: World, insert: Insert) -> Iterator[tuple[str, World, bool]]:
        """What the engine can make of an insert: in words, the world after it, whether it answers with OK."""
        token = insert.declared
        if self._rules.constraint and insert.left < -self._bounds.runs:
            yield "is refused: its deadline has passed", world, False
        elif self._rules.token and token in (known for known, _ in world.tokens):
            yield "is dropped: its token is known", world, True
        else:
            tokens = tuple(sorted((*world.tokens, (token, 0))))
            landed = world._replace(rows=tuple(sorted(world.rows + insert.rows)), tokens=tokens)
            yield "lands", landed, True
            if world.kills:
                yield "is logged, and the engine dies before the rename", self._killed(world, tokens), False
            if not self._rules.one_part and len(insert.rows) > 1:
                half = tuple(sorted(world.rows + insert.rows[:1]))
                yield "lands in part, and the engine dies", world._replace(rows=half), False

    def _killed(self, world: World, tokens: tuple[tuple[Declaration, int], ...]) -> World:
        """Every insert under way dies with the engine."""
        sinks = world.sinks
        if self._rules.send_once:
            sinks = tuple(self._failed(sink) if sink.about_to == "hear" else sink for sink in sinks)
        return world._replace(tokens=tokens, late=(), kills=world.kills - 1, sinks=sinks)

    # --- what happens to a process ------------------------------------------------------------------------------------

    def _fate(self, world: World, index: int, sink: Sink) -> Steps:
        name = f"sink {index}"
        if world.owner != index and sink.about_to == "start":
            carrier = InsertState(world.declared, 0, in_doubt=True) if world.declared else None
            taken = Sink("recover", world.committed, landing=carrier)
            if not self._rules.resume_at_commit:
                taken = Sink("recover", max(world.rows, default=-1) + 1)
            yield f"{name} takes the partition at {taken.resume_at}", world.with_sink(index, taken, owner=index)
        if world.owner == index:
            yield f"{name} is expelled from the group", world._replace(owner=None)
        elif not self._rules.end_before_rejoin and sink.about_to not in {"start", "recover", "stay stopped"}:
            yield f"{name} is assigned anew with its batch in flight", world._replace(owner=index)
        if sink.about_to not in {"start", "stay stopped"}:
            owner = None if world.owner == index else world.owner
            late = self._late(world, sink)
            yield f"{name} is killed", world.with_sink(index, Sink(), owner=owner, late=late)

    def _late(self, world: World, sink: Sink) -> tuple[Insert, ...]:
        """Those under way when nobody waits for this sink's own any more."""
        if sink.about_to != "hear" or len(world.late) == self._bounds.late:
            return world.late
        assert sink.landing
        return tuple(sorted((*world.late, Insert(sink.landing.declared, sink.rows, sink.left))))

    def _may_commit(self, world: World, index: int) -> bool:
        unfenced = not self._rules.group or (not self._rules.refuse_the_expelled and world.owner is None)
        return unfenced or world.owner == index

    # --- the steps of a cycle -----------------------------------------------------------------------------------------

    def _start(self, _world: World, _index: int, _sink: Sink) -> Steps:
        yield from ()

    def _recover(self, world: World, index: int, sink: Sink) -> Steps:
        declared = sink.landing.declared if sink.landing else None
        end = declared.end if declared else sink.resume_at
        if self._rules.stop_at_rows_beyond and any(offset >= end for offset in world.rows):
            if (world.committed, world.declared) != (sink.resume_at, declared):
                yield f"sink {index} finds that it was replaced", world.with_sink(index, Sink())
            else:
                yield f"sink {index} finds rows from {end} on and stops", world.with_sink(index, STOPPED)
        elif declared is None:
            yield f"sink {index} is ready", world.with_sink(index, Sink("handle", sink.resume_at))
        else:
            if not self._rules.month_of_declaration:
                declared = declared._replace(month=self._month(world))
            yield self._build(world, index, sink, declared, in_doubt=True)

    def _handle(self, world: World, index: int, sink: Sink) -> Steps:
        start = sink.resume_at
        for end in range(start + 1, min(start + self._bounds.block, len(self._stamps)) + 1):
            yield self._build(world, index, sink, Declaration(start, end, self._month(world)), in_doubt=False)
        if world.owner != index:
            yield f"sink {index} lets go of the partition", world.with_sink(index, Sink())

    def _build(
        self, world: World, index: int, sink: Sink, declared: Declaration, *, in_doubt: bool
    ) -> tuple[str, World]:
        seen = sink.seen
        if seen is None:
            rows_below = tuple(offset for offset in world.rows if offset < declared.start)
            seen = recover(self._bounds.records, rows_below, declared.start, self._rules.judge_by_record_time)
        block = build(self._bounds.records, seen, declared, self._rules.drop_duplicates)
        landing = InsertState(declared, len(block.rows), in_doubt)
        built = Sink("declare", declared.start, seen, landing, block.rows, self._bounds.deadline)
        return f"sink {index} builds {declared.text()} of {block.rows}", world.with_sink(index, built)

    def _declare(self, world: World, index: int, sink: Sink) -> Steps:
        assert sink.landing
        declared = sink.landing.declared
        if not self._may_commit(world, index):
            yield f"sink {index} is fenced at {declared.text()}", world.with_sink(index, Sink())
            return
        if not self._rules.declare_fresh_token:
            declared = declared._replace(token=0)
        about_to = "land" if self._rules.deadline_before_commit else "read the clock"
        yield (
            f"sink {index} declares {declared.text()}",
            world.with_sink(
                index,
                sink._replace(about_to=about_to),
                committed=declared.start,
                declared=declared if self._rules.declare else None,
            ),
        )

    def _read_the_clock(self, world: World, index: int, sink: Sink) -> Steps:
        yield f"sink {index} reads the clock", self._lands(world, index, sink, left=self._bounds.deadline)

    def _land(self, world: World, index: int, sink: Sink) -> Steps:
        assert sink.landing
        landing, name = sink.landing, f"sink {index}"
        try:
            step = landing.next_step(late=sink.left < 1)
        except InconsistentState as error:
            yield f"{name} stops: {error}", world.with_sink(index, STOPPED)
            return
        match step:
            case Step.INSERT:
                yield f"{name} sends {landing.declared.text()}", world.with_sink(index, sink._replace(about_to="hear"))
            case Step.READ_BACK:
                found = self._count(world, landing.declared)
                looked = landing.after_count(found, is_final=sink.left < -self._bounds.runs)
                yield f"{name} finds {found} rows", self._lands(world, index, sink, looked)
            case Step.WAIT if self._rules.wait_before_fresh_token:
                # To look again before the last moment tells nothing new.
                if sink.left < -self._bounds.runs:
                    yield f"{name} has waited", self._lands(world, index, sink, landing.after_wait())
            case Step.DONE:
                yield f"{name} is done", world.with_sink(index, sink._replace(about_to="finish", rows=(), left=0))
            case _:
                yield self._declare_again(world, index, sink)

    def _declare_again(self, world: World, index: int, sink: Sink) -> tuple[str, World]:
        assert sink.landing
        if not self._rules.keep_deadline:
            left = self._bounds.deadline
            return f"sink {index} takes more time", self._lands(world, index, sink, left=left)
        landing = sink.landing
        if landing.acknowledged:
            landing = landing._replace(is_final=True)
        again = sink._replace(about_to="declare", landing=landing.redeclared(), left=self._bounds.deadline)
        return f"sink {index} wants to declare anew", world.with_sink(index, again)

    def _hear(self, world: World, index: int, sink: Sink) -> Steps:
        """An insert is under way, and this sink waits for the answer."""
        assert sink.landing
        text = sink.landing.declared.text()
        failed = self._failed(sink)
        yield f"sink {index} loses {text}", world.with_sink(index, failed)
        if len(world.late) < self._bounds.late:
            yield (
                f"sink {index} waits no longer for {text}",
                world.with_sink(index, failed, late=self._late(world, sink)),
            )
        for what, after, is_ok in self._executed(world, Insert(sink.landing.declared, sink.rows, sink.left)):
            if is_ok:
                told = after.with_sink(index, self._answered(sink))
            elif self._rules.send_once and after.sinks == world.sinks:
                told = after.with_sink(index, failed)
            else:
                told = after
            yield f"{text} of sink {index} {what}", told

    def _answered(self, sink: Sink) -> Sink:
        assert sink.landing
        landing = sink.landing.after_response()
        if not self._rules.read_back:
            landing = landing.after_count(landing.size, is_final=True)
        return sink._replace(about_to="land", landing=landing)

    def _failed(self, sink: Sink) -> Sink:
        assert sink.landing
        if not self._rules.commit_when_durable:
            return sink._replace(about_to="finish")
        landing, rows = sink.landing.after_error(), sink.rows
        if not self._rules.advance_when_durable:
            # Built anew from a state that already holds this block's stamps.
            landing, rows = landing._replace(size=0), ()
        if not self._rules.read_back:
            landing = landing.after_count(0, is_final=False)
        return sink._replace(about_to="land", landing=landing, rows=rows)

    def _finish(self, world: World, index: int, sink: Sink) -> Steps:
        assert sink.landing
        assert sink.seen is not None
        end = sink.landing.declared.end
        if not self._may_commit(world, index):
            yield f"sink {index} is fenced at {end}", world.with_sink(index, Sink())
            return
        block = build(self._bounds.records, sink.seen, sink.landing.declared, self._rules.drop_duplicates)
        ready = Sink("handle", end, block.seen)
        yield f"sink {index} commits {end}", world.with_sink(index, ready, committed=end, declared=None)

    # --- small helpers ------------------------------------------------------------------------------------------------

    @staticmethod
    def _lands(
        world: World, index: int, sink: Sink, landing: InsertState | None = None, *, left: int | None = None
    ) -> World:
        after = sink._replace(
            about_to="land", landing=landing or sink.landing, left=sink.left if left is None else left
        )
        return world.with_sink(index, after)

    def _count(self, world: World, declared: Declaration) -> int:
        return sum(declared.start <= offset < declared.end for offset in world.rows)

    def _month(self, world: World) -> int:
        return self._bounds.months - world.months + 1
