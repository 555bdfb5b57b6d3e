"""One key's messages through the outbox: a database, two publishers, a compacted topic, and a reader who starts anew.

A message is the version of its key: 1, then 2. Each rule of docs/exactly-once.md about the outbox can be switched off.
"""

from collections.abc import Iterator
from typing import NamedTuple

from models.explorer import Exploration, explore

VERSIONS = 2


class OutboxRules(NamedTuple):
    """Each is part of the protocol; without it a counterexample must be found."""

    row_in_transaction: bool = True
    """The message is a row of the transaction that makes it true, published after its commit."""
    fence: bool = True
    """Who publishes has fenced its predecessor by its transactional id."""
    delete_after_publish: bool = True
    """A row is deleted once its message is in the topic."""
    version: bool = True
    """A message has the version of its key: the newest of what waits is published, the topic being compacted, and a
    reader ignores a message with an older version than it has seen."""


class Publisher(NamedTuple):
    epoch: int | None = None
    """Of its transactional id; None if it does not run."""
    holding: tuple[int, ...] = ()
    """The versions that it has read, to publish them in one transaction and then delete them."""


class World(NamedTuple):
    truth: int
    rows: tuple[int, ...]
    topic: tuple[int, ...]
    """All that was published, in order; compaction leaves the last."""
    epoch: int
    publishers: tuple[Publisher, ...]
    reader: int
    read: int
    """How far a reader has come that was there from the beginning."""
    rollbacks: int
    deaths: int


def explore_outbox(rules: OutboxRules) -> Exploration[World]:
    initial = World(0, (), (), 0, (Publisher(), Publisher()), 0, 0, 1, 2)
    model = Outbox(rules)
    return explore(initial, model.successors, model.wrong, model.is_at_rest)


class Outbox:
    def __init__(self, rules: OutboxRules) -> None:
        self._rules = rules

    def successors(self, world: World) -> Iterator[tuple[str, World]]:
        if world.truth < VERSIONS:
            yield from self._change(world)
        for index, publisher in enumerate(world.publishers):
            yield from self._publish(world, index, publisher)
        if world.read < len(world.topic):
            found = world.topic[world.read]
            newest = max(found, world.reader) if self._rules.version else found
            yield f"the reader meets {found}", world._replace(read=world.read + 1, reader=newest)

    def _change(self, world: World) -> Iterator[tuple[str, World]]:
        version = world.truth + 1
        if self._rules.row_in_transaction:
            yield f"version {version} is committed", world._replace(truth=version, rows=(*world.rows, version))
            return
        told = world._replace(topic=(*world.topic, version))
        yield f"version {version} is published, then committed", told._replace(truth=version)
        if world.rollbacks:
            yield f"version {version} is published, then rolled back", told._replace(rollbacks=world.rollbacks - 1)

    def _publish(self, world: World, index: int, publisher: Publisher) -> Iterator[tuple[str, World]]:
        name = f"publisher {index}"
        if publisher.epoch is None:
            runs = any(other.epoch is not None for other in world.publishers)
            if runs and not world.deaths:
                return
            # One that runs has lost the connection that held the lock, and does not know yet.
            started = _put(world, index, Publisher(world.epoch + 1))
            yield f"{name} takes the lock", started._replace(epoch=world.epoch + 1, deaths=world.deaths - runs)
            return
        if not publisher.holding:
            if world.rows:
                rows = world.rows if self._rules.delete_after_publish else ()
                held = _put(world, index, publisher._replace(holding=world.rows))
                yield f"{name} takes {world.rows}", held._replace(rows=rows)
            return
        died = world._replace(deaths=world.deaths - 1)
        if world.deaths:
            yield f"{name} dies", _put(died, index, Publisher())
        if publisher.epoch < world.epoch and self._rules.fence:
            yield f"{name} is fenced", _put(world, index, Publisher())
            return
        published = (max(publisher.holding),) if self._rules.version else publisher.holding
        topic = (*world.topic, *published)
        rows = tuple(version for version in world.rows if version not in publisher.holding)
        done = _put(world, index, publisher._replace(holding=()))
        yield f"{name} publishes {published} and deletes {publisher.holding}", done._replace(topic=topic, rows=rows)
        if world.deaths:
            yield f"{name} publishes {published} and dies", _put(died, index, Publisher())._replace(topic=topic)

    def wrong(self, world: World) -> str | None:
        if world.reader > world.truth:
            return f"a reader has {world.reader}, which never was: {world.truth}"
        if world.read and world.reader < max(world.topic[: world.read]):
            return f"a reader went back to {world.reader}"
        if self._is_still(world) and world.topic and world.topic[-1] != world.truth:
            return f"whoever starts now reads {world.topic[-1]}, the truth is {world.truth}"
        return None

    def _is_still(self, world: World) -> bool:
        holds = any(publisher.holding for publisher in world.publishers)
        return world.truth == VERSIONS and not world.rows and not holds

    def is_at_rest(self, world: World) -> bool:
        return self._is_still(world) and world.topic[-1:] == (VERSIONS,)


def _put(world: World, index: int, publisher: Publisher) -> World:
    return world._replace(publishers=(*world.publishers[:index], publisher, *world.publishers[index + 1 :]))
