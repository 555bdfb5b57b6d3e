"""How a declared block of rows gets into a table once: what is known of it, and what to do next.

Pure: `tollgate_common.clickhouse.sink` does the steps, and the model tests explore them with every interleaving of
crashes, pauses and late inserts. Which rule prevents what stands in docs/exactly-once.md.
"""

from enum import Enum, auto
from typing import NamedTuple

from tollgate_common.errors import InconsistentState

# Tokens tried for one block. Each costs an engine that was killed at the very same point.
MAX_TOKENS = 5


class Declaration(NamedTuple):
    """The block `[start, end)` of a partition, the month that its rows are stored under, the number of its token."""

    start: int
    end: int
    month: int
    token: int = 0

    def text(self) -> str:
        return f"{self.start}-{self.end}@{self.month}" + self._suffix()

    @staticmethod
    def parse(text: str) -> "Declaration":
        span, _, rest = text.partition("@")
        start, end = span.split("-")
        month, _, token = rest.partition("#")
        return Declaration(int(start), int(end), int(month), int(token or 0))

    def deduplication_token(self, topic: str, partition: int) -> str:
        return f"{topic}:{partition}:{self.start}-{self.end}" + self._suffix()

    def _suffix(self) -> str:
        return f"#{self.token}" if self.token else ""


class Step(Enum):
    INSERT = auto()
    READ_BACK = auto()
    # A little, then look again: what was sent before the deadline may still land.
    WAIT = auto()
    REDECLARE = auto()
    DONE = auto()


class InsertState(NamedTuple):
    """What is known of a block that has been declared.

    Args:
        declared: what the last commit said of it.
        size: its rows.
        in_doubt: an insert under this token, of this process or a predecessor, may have landed or may land yet.
        acknowledged: an insert in doubt was answered with OK: its rows have come, or the engine had died between its
            dedup log and the part's rename, and will drop every insert under this token.
        found: how many rows were there at the last look; None if there was none since a commit or an answer.
        is_final: nothing that was sent before that look can have landed after it.
    """

    declared: Declaration
    size: int
    in_doubt: bool
    acknowledged: bool = False
    found: int | None = None
    is_final: bool = False

    def next_step(self, *, late: bool) -> Step:
        """What to do now.

        Args:
            late: too little time is left for an insert before the deadline that came with the declaration.

        Raises:
            InconsistentState: part of the block is there, which one atomic insert cannot have done.
        """
        if self.size in {0, self.found}:
            return Step.DONE
        if self.found:
            raise InconsistentState(f"{self.declared.text()} has {self.found} of {self.size} rows")
        if self.in_doubt and self.found is None:
            return Step.READ_BACK
        if self.acknowledged:
            return Step.REDECLARE if self.is_final else Step.WAIT
        return Step.REDECLARE if late else Step.INSERT

    def after_response(self) -> "InsertState":
        """After an OK. To the first insert under a token it is proof; later ones may have been dropped."""
        if self.in_doubt:
            return self._replace(acknowledged=True, found=None)
        return self._replace(found=self.size)

    def after_error(self) -> "InsertState":
        """After an error, or no answer, which say nothing."""
        return self._replace(in_doubt=True, found=None)

    def after_count(self, found: int, *, is_final: bool) -> "InsertState":
        """After a look at the table; it is final if it began when the deadline was over."""
        return self._replace(found=found, is_final=is_final)

    def after_wait(self) -> "InsertState":
        return self._replace(found=None)

    def redeclared(self) -> "InsertState":
        """With a new deadline; under a fresh token if this one is spent. Commit its declaration before anything else.

        Raises:
            InconsistentState: so many tokens were spent that the engine's death cannot be the reason.
        """
        if not (self.acknowledged and self.is_final):
            return self._replace(found=None)
        fresh = self.declared._replace(token=self.declared.token + 1)
        if fresh.token >= MAX_TOKENS:
            raise InconsistentState(
                f"{self.declared.text()} was acknowledged under {MAX_TOKENS} tokens and is not there"
            )
        return InsertState(fresh, self.size, in_doubt=False)
