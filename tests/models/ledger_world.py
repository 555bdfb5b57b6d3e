"""Two consumers, one partition, one ledger: takeovers, pauses, deaths, and commits whose answers get lost.

The sequence state is the code's own. A transaction of PostgreSQL is one step here; between two steps of a consumer
anything may happen to it. Each rule of docs/exactly-once.md about the ledger can be switched off.
"""

from collections.abc import Iterator
from typing import NamedTuple

from models.explorer import Exploration, explore
from tollgate_common.sequence import BootSequence

# The stamps of the records in the partition: the last is a copy of the first.
SEQS = (0, 1, 0)
# More takeovers than all that may go wrong can cause, where every rule holds.
MAX_EPOCH = 8


class LedgerRules(NamedTuple):
    """Each is part of the protocol; without it a counterexample must be found."""

    fence: bool = True
    """A batch is posted only if the partition stands where the consumer believes."""
    epoch: bool = True
    """Who is assigned a partition raises its epoch, and a batch of an older one is refused: nobody moves it then."""
    resume_at_ledger: bool = True
    """A consumer resumes at PostgreSQL's offset, not at Kafka's."""
    one_transaction: bool = True
    """The offset moves in the transaction of its batch."""
    post_again: bool = True
    """After a commit whose answer got lost the batch is posted again, and found in or refused."""
    check_membership: bool = True
    """A member that is fenced while the group still counts it in ends."""
    drop_duplicates: bool = True


class Bounds(NamedTuple):
    takeovers: int = 2
    """Rebalances that a member does not notice at once."""
    deaths: int = 1
    lost_answers: int = 1


class Consumer(NamedTuple):
    """`at` is None without the partition; `until` the end of the batch that it is posting."""

    at: int | None = None
    epoch: int = 0
    seen: BootSequence = BootSequence()
    until: int | None = None
    posted: bool = False
    """Without `one_transaction`: its rows are in, the offset is not moved yet."""
    is_taking: bool = False
    """The group has assigned it the partition; it has not taken it over yet."""


class World(NamedTuple):
    next: int
    epoch: int
    seen: BootSequence
    postings: tuple[int, ...]
    kafka: int
    """What is committed to Kafka."""
    owner: int | None
    """Whom the group counts in."""
    consumers: tuple[Consumer, ...]
    left: Bounds
    is_robbed: bool = False
    """One that took the partition over last found it moved by another."""


def explore_ledger(rules: LedgerRules, bounds: Bounds) -> Exploration[World]:
    initial = World(0, 0, BootSequence(), (), 0, None, (Consumer(), Consumer()), bounds)
    model = Ledger(rules)
    return explore(initial, model.successors, model.wrong, model.is_at_rest)


class Ledger:
    def __init__(self, rules: LedgerRules) -> None:
        self._rules = rules

    def successors(self, world: World) -> Iterator[tuple[str, World]]:
        for index, consumer in enumerate(world.consumers):
            if world.owner != index and world.left.takeovers:
                left = world.left._replace(takeovers=world.left.takeovers - 1)
                # One that it held before and still posts for goes on: it does not know yet.
                assigned = consumer._replace(is_taking=True)
                yield (
                    f"consumer {index} is assigned the partition",
                    _put(world._replace(owner=index, left=left), index, assigned),
                )
            if consumer.is_taking:
                yield f"consumer {index} takes it over", self._take(world, index)
            elif consumer.at is not None:
                yield from self._work(world, index, consumer)
            if consumer != Consumer() and world.owner != index:
                yield f"consumer {index} notices that it was replaced", _put(world, index, Consumer())
            if consumer != Consumer() and world.left.deaths:
                left = world.left._replace(deaths=world.left.deaths - 1)
                yield f"consumer {index} dies", self._ended(world, index)._replace(left=left)
            if world.owner is None and consumer == Consumer() and world.epoch < MAX_EPOCH:
                yield f"consumer {index} joins", _put(world._replace(owner=index), index, Consumer(is_taking=True))

    @staticmethod
    def _ended(world: World, index: int) -> World:
        """A restart is a member anew."""
        owner = None if world.owner == index else world.owner
        return _put(world._replace(owner=owner), index, Consumer())

    def _take(self, world: World, index: int) -> World:
        epoch = world.epoch + 1 if self._rules.epoch else world.epoch
        at = world.next if self._rules.resume_at_ledger else world.kafka
        return _put(world._replace(epoch=epoch), index, Consumer(at, epoch, world.seen))

    def _work(self, world: World, index: int, consumer: Consumer) -> Iterator[tuple[str, World]]:
        assert consumer.at is not None
        if consumer.until is None:
            for end in range(consumer.at + 1, len(SEQS) + 1):
                yield f"consumer {index} reads up to {end}", _put(world, index, consumer._replace(until=end))
            if world.owner == index and world.kafka != consumer.at:
                yield f"consumer {index} shows {consumer.at} in Kafka", world._replace(kafka=consumer.at)
            return
        yield from self._post(world, index, consumer, consumer.until)

    def _post(self, world: World, index: int, consumer: Consumer, end: int) -> Iterator[tuple[str, World]]:
        name = f"consumer {index}"
        if not self._rules.one_transaction and consumer.posted:
            moved = world._replace(next=end, seen=self._written(world, consumer, end).seen)
            yield f"{name} moves the offset to {end}", _put(moved, index, self._done(consumer, end, moved.seen))
            return
        stands = (world.next, world.epoch) == (consumer.at, consumer.epoch)
        if not stands and self._rules.fence:
            if (world.next, world.epoch) == (end, consumer.epoch):
                yield f"{name} finds its batch in", _put(world, index, self._done(consumer, end, world.seen))
            elif world.owner == index and not self._rules.check_membership:
                yield f"{name} waits for a rebalance", world
            else:
                is_robbed = world.epoch == consumer.epoch
                yield f"{name} is fenced and ends", self._ended(world, index)._replace(is_robbed=is_robbed)
            return
        after = self._written(world, consumer, end)
        if not self._rules.one_transaction:
            posted = world._replace(postings=after.postings)
            yield f"{name} posts, and not yet the offset", _put(posted, index, consumer._replace(posted=True))
            return
        after = after._replace(next=end)
        yield f"{name} posts up to {end}", _put(after, index, self._done(consumer, end, after.seen))
        if world.left.lost_answers:
            left = world.left._replace(lost_answers=world.left.lost_answers - 1)
            for what, result in (("is in", after), ("is not in", world)):
                told = consumer if self._rules.post_again else self._done(consumer, end, after.seen)
                yield f"{name} hears no answer: the batch {what}", _put(result._replace(left=left), index, told)

    def _written(self, world: World, consumer: Consumer, end: int) -> World:
        assert consumer.at is not None
        seen, postings = consumer.seen, world.postings
        for offset in range(consumer.at, end):
            seq = SEQS[offset]
            if not (seen.has(seq) and self._rules.drop_duplicates):
                postings = (*postings, seq)
                seen = seen if seen.has(seq) else seen.with_seq(seq)
        return world._replace(seen=seen, postings=postings)

    @staticmethod
    def _done(consumer: Consumer, end: int, seen: BootSequence) -> Consumer:
        return Consumer(end, consumer.epoch, seen)

    def wrong(self, world: World) -> str | None:
        if len(set(world.postings)) < len(world.postings):
            return f"a record is posted twice: {world.postings}"
        lost = set(SEQS[: world.next]) - set(world.postings)
        if lost:
            return f"records {sorted(lost)} are lost: the ledger stands at {world.next}"
        if world.is_robbed and self._rules.resume_at_ledger:
            return "a consumer that took the partition over last found it moved"
        if any(consumer.at is not None and consumer.at > world.next for consumer in world.consumers):
            return f"a consumer is ahead of the ledger, which stands at {world.next}"
        return None

    @staticmethod
    def is_at_rest(world: World) -> bool:
        return world.next == len(SEQS)


def _put(world: World, index: int, consumer: Consumer) -> World:
    return world._replace(consumers=(*world.consumers[:index], consumer, *world.consumers[index + 1 :]))
