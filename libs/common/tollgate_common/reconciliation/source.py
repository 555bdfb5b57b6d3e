"""The reconciliation API: each consumer of stamped events reports the state of its store to the reconciler.

No service reads another's tables. The reconciler requests each consumer's positions, its state of each boot, and sums
over ranges of offsets. If two services' sums differ, it requests the halves of the range, and finally the rows.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.service_auth import internal_callers
from tollgate_common.topics import Topic

PATH = "/internal/v1/reconciliation"
# Maximum number of rows in a response. The reconciler halves a range with more rows.
MAX_ROWS = 5_000
# Maximum number of gaps or duplicates in a response. A boot with more is broken, and the first ones are enough.
MAX_LISTED = 100


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Position(Answer):
    partition: int
    next: int
    """The next offset. All records below it are processed."""


class DuplicateSeq(Answer):
    """A seq with more than one row."""

    seq: int
    copies: int
    request_id: str


class Boot(Answer):
    """The state of a boot on a partition: all seqs below `high` were seen, except those in `gaps`."""

    partition: int
    boot_id: str
    high: int
    missing: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    """The first `MAX_LISTED` gaps, half-open, ascending."""
    duplicated: int = 0
    """Number of surplus rows."""
    duplicates: tuple[DuplicateSeq, ...] = ()


class Range(Answer):
    """The offsets `[start, end)` of a partition, in pieces of `step` offsets."""

    partition: int
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    step: int = Field(ge=1)


class Digest(Answer):
    """Sums over a piece of a range. Pieces with equal digests have equal amounts at equal offsets.

    `checksum` is `Σ (amount_nano mod 65521) × (offset mod 65521 + 1)`, which also detects amounts that are swapped, or
    changed by opposite sums. Pieces without rows have no digest.
    """

    partition: int
    start: int
    charges: int
    """Number of rows with an amount other than zero."""
    amount_nano: int
    checksum: int
    rows: int | None = None
    """Number of all rows; None if the store has rows only for amounts."""
    tokens: int | None = None


class Row(Answer):
    offset: int
    request_id: str
    account_id: str
    amount_nano: int
    boot_id: str | None = None
    seq: int | None = None
    tokens: int | None = None


class Drift(Answer):
    """A stored sum that differs from the sum of its rows."""

    what: str
    """The stored sum, such as `posted_nano of accounts`."""
    where: str
    """The row with the sum, such as `account acc-1`."""
    stored: int
    rows: int


class WriteOff(Answer):
    """Usage without a hold or available credit. `reference` is its range of usage.v1."""

    account_id: str
    amount_nano: int
    reference: str
    posted_at: datetime


class WriteOffs(Answer):
    count: int
    amount_nano: int
    newest: tuple[WriteOff, ...] = ()


class Unclosed(Answer):
    """A request that was opened and never closed. `charged_nano` is its charge, if it has one nevertheless."""

    request_id: str
    account_id: str
    partition: int
    boot_id: str
    opened_at: datetime
    charged_nano: int


class UnclosedRequests(Answer):
    count: int
    oldest: tuple[Unclosed, ...] = ()


class Sent(Answer):
    """The newest heartbeat of a boot: for each topic (without prefix), the next seq of each partition."""

    boot_id: str
    sent: dict[str, tuple[int, ...]]


class KeptFrom(Answer):
    """The time since which a service has all its rows; 1970 if it has dropped none."""

    rows_from: datetime


class ReconciliationSource(Protocol):
    """The reconciler's view of a service's store."""

    async def positions(self, topic: Topic) -> Sequence[Position]:
        """Return the position of each partition that has one."""

    async def boots(self, topic: Topic, since: datetime) -> Sequence[Boot]:
        """Return the state of each boot that started at `since` or later, on each partition."""

    async def digests(self, topic: Topic, ranges: Sequence[Range]) -> Sequence[Digest]:
        """Return the sums over each piece of each range. A partition may have one range at most."""

    async def rows(self, topic: Topic, partition: int, start: int, end: int) -> Sequence[Row]:
        """Return the first `MAX_ROWS` rows of the offsets `[start, end)`, in order."""

    async def drifts(self, since: datetime) -> Sequence[Drift]:
        """Return stored sums that differ from their rows. Sums by time are checked since `since`."""


def create_router(token: str | None, tokens: Verifier | None = None) -> APIRouter:
    """Return the router of the reconciliation API, for callers with a service's token or the secret `token`."""
    check = internal_callers(token, "reconciliation_not_configured", "the reconciler cannot be authenticated", tokens)
    return APIRouter(prefix=PATH, dependencies=[Depends(check)])


def add_routes(app: FastAPI, source: ReconciliationSource, token: str | None, tokens: Verifier | None = None) -> None:
    """Add the routes of the reconciliation API for `source`."""
    router = create_router(token, tokens)

    @router.get("/positions")
    async def positions(topic: Topic) -> Sequence[Position]:
        return await source.positions(topic)

    @router.get("/boots")
    async def boots(topic: Topic, since: AwareDatetime) -> Sequence[Boot]:
        return await source.boots(topic, since)

    @router.post("/digests")
    async def digests(topic: Topic, ranges: list[Range]) -> Sequence[Digest]:
        return await source.digests(topic, ranges)

    @router.get("/rows")
    async def rows(
        topic: Topic,
        partition: Annotated[int, Query(ge=0)],
        start: Annotated[int, Query(ge=0)],
        end: Annotated[int, Query(ge=0)],
    ) -> Sequence[Row]:
        return await source.rows(topic, partition, start, end)

    @router.get("/drifts")
    async def drifts(since: AwareDatetime) -> Sequence[Drift]:
        return await source.drifts(since)

    app.include_router(router)
