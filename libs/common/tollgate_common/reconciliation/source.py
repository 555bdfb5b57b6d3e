"""What each consumer of stamped events tells the reconciler about its own store, and the HTTP routes that carry it.

No service reads another's tables, so the reconciler asks: how far have you come, what do you know of each boot, what do
your amounts of these offsets add up to? Where two answers differ, it asks for halves, and in the end for rows.
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
# More rows than this are not listed: the reconciler halves its question instead.
MAX_ROWS = 5_000
# A boot with more gaps or duplicates than this is broken, and the first ones tell how.
MAX_LISTED = 100


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Position(Answer):
    partition: int
    next: int
    """Every record below it has had its effect."""


class DuplicateSeq(Answer):
    """A seq that has more than one row."""

    seq: int
    copies: int
    request_id: str


class Boot(Answer):
    """What is known of one edge process on a partition: all seqs below `high` are there, except `gaps`."""

    partition: int
    boot_id: str
    high: int
    missing: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    """Half-open, ascending, the first `MAX_LISTED` of them."""
    duplicated: int = 0
    """Rows too many."""
    duplicates: tuple[DuplicateSeq, ...] = ()


class Range(Answer):
    """Offsets `[start, end)` of a partition in pieces of `step`."""

    partition: int
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    step: int = Field(ge=1)


class Digest(Answer):
    """What a piece of a partition adds up to: pieces with equal digests hold equal amounts at equal offsets.

    `checksum` is `Σ (amount_nano mod 65521) × (offset mod 65521 + 1)`, so that amounts that were exchanged, or changed
    by opposite sums, show too. Pieces without rows have no digest.
    """

    partition: int
    start: int
    charges: int
    """How many rows have an amount that is not zero."""
    amount_nano: int
    checksum: int
    rows: int | None = None
    """How many rows there are of any kind; None where only amounts have rows."""
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
    """A stored sum that is not the sum of its rows."""

    what: str
    """What is stored, such as `posted_nano of accounts`."""
    where: str
    """Which one, such as `account acc-1`."""
    stored: int
    rows: int


class WriteOff(Answer):
    """Usage that neither a hold nor available credit covered; `reference` is the range of usage.v1 it came with."""

    account_id: str
    amount_nano: int
    reference: str
    posted_at: datetime


class WriteOffs(Answer):
    count: int
    amount_nano: int
    newest: tuple[WriteOff, ...] = ()


class Unclosed(Answer):
    """A request that was opened and never closed; `charged_nano` is what it was charged all the same."""

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
    """What a boot says in its newest heartbeat: per topic (without prefix), the next seq of each partition."""

    boot_id: str
    sent: dict[str, tuple[int, ...]]


class KeptFrom(Answer):
    """From when on a service has all its rows; 1970 if none were dropped."""

    rows_from: datetime


class ReconciliationSource(Protocol):
    """One service's store, as the reconciler sees it."""

    async def positions(self, topic: Topic) -> Sequence[Position]:
        """How far each partition that has been begun is consumed."""

    async def boots(self, topic: Topic, since: datetime) -> Sequence[Boot]:
        """What is known of each boot that began at `since` or later, on each partition."""

    async def digests(self, topic: Topic, ranges: Sequence[Range]) -> Sequence[Digest]:
        """What each piece of each range adds up to; a partition stands in one range at most."""

    async def rows(self, topic: Topic, partition: int, start: int, end: int) -> Sequence[Row]:
        """The rows of the offsets `[start, end)`, the first `MAX_ROWS` of them, in their order."""

    async def drifts(self, since: datetime) -> Sequence[Drift]:
        """Stored sums that differ from their rows; sums of times look at those since `since`."""


def create_router(token: str | None, tokens: Verifier | None = None) -> APIRouter:
    """The router of the reconciliation's routes, for callers who show a service's token or the secret `token`."""
    check = internal_callers(token, "reconciliation_not_configured", "no reconciler is trusted", tokens)
    return APIRouter(prefix=PATH, dependencies=[Depends(check)])


def add_routes(app: FastAPI, source: ReconciliationSource, token: str | None, tokens: Verifier | None = None) -> None:
    """Serve `source` to reconcilers."""
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
