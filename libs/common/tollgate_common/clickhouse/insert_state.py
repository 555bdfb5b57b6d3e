"""The state of a declared block on its way into a table, and the next step. Each block is inserted exactly once.

Pure: `tollgate_common.clickhouse.sink` executes the steps, and the model tests explore all interleavings of crashes,
pauses and late inserts. docs/exactly-once.md describes what each rule prevents.
"""

from enum import Enum, auto
from typing import NamedTuple

from tollgate_common.errors import InconsistentState

# Tokens to try for one block. A token is spent only if the engine is killed between its dedup log and the rename.
MAX_TOKENS = 5


class Declaration(NamedTuple):
    """A block `[start, end)` of a partition, the month that its rows are stored under, and the number of its token."""

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
    # Pause, then read back again: an insert that was sent before the deadline may still be executed.
    WAIT = auto()
    REDECLARE = auto()
    DONE = auto()


class InsertState(NamedTuple):
    """The knowledge about a declared block.

    Args:
        declared: the declaration in the last commit.
        size: number of its rows.
        in_doubt: an insert under this token, by this process or a predecessor, may have been executed, or still may.
        acknowledged: an insert in doubt got OK. Either its rows are in the table, or the engine died between its dedup
            log and the part's rename, and drops every insert under this token.
        found: number of rows at the last count; None if no count followed the last commit or response.
        is_final: no insert that was sent before that count can have been executed after it.
    """

    declared: Declaration
    size: int
    in_doubt: bool
    acknowledged: bool = False
    found: int | None = None
    is_final: bool = False

    def next_step(self, *, late: bool) -> Step:
        """Return the next step.

        Args:
            late: too little time is left for an insert before the deadline of the declaration.

        Raises:
            InconsistentState: the table has a part of the block, although an insert is atomic.
        """
        if self.size in {0, self.found}:
            return Step.DONE
        if self.found:
            raise InconsistentState(f"the table has {self.found} of {self.size} rows of block {self.declared.text()}")
        if self.in_doubt and self.found is None:
            return Step.READ_BACK
        if self.acknowledged:
            return Step.REDECLARE if self.is_final else Step.WAIT
        return Step.REDECLARE if late else Step.INSERT

    def after_response(self) -> "InsertState":
        """Return the state after an OK, which proves only the first insert under a token: later ones may be dropped."""
        if self.in_doubt:
            return self._replace(acknowledged=True, found=None)
        return self._replace(found=self.size)

    def after_error(self) -> "InsertState":
        """Return the state after an error or a timeout, which leave the outcome unknown."""
        return self._replace(in_doubt=True, found=None)

    def after_count(self, found: int, *, is_final: bool) -> "InsertState":
        """Return the state after a count of the rows. The count is final if it began after the deadline."""
        return self._replace(found=found, is_final=is_final)

    def after_wait(self) -> "InsertState":
        return self._replace(found=None)

    def redeclared(self) -> "InsertState":
        """Return the state with a new deadline, and with a new token if this one is spent.

        Its declaration must be committed before any other step.

        Raises:
            InconsistentState: more tokens are spent than deaths of the engine can explain.
        """
        if not (self.acknowledged and self.is_final):
            return self._replace(found=None)
        fresh = self.declared._replace(token=self.declared.token + 1)
        if fresh.token >= MAX_TOKENS:
            raise InconsistentState(
                f"block {self.declared.text()} was acknowledged under {MAX_TOKENS} tokens, but the table has "
                "no row of it"
            )
        return InsertState(fresh, self.size, in_doubt=False)
