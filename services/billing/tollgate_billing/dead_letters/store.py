"""Dead letters and the decisions about them, as rows of PostgreSQL."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import DictRow

from tollgate_billing.database import SQL
from tollgate_billing.dead_letters.state import State
from tollgate_common.postgres.connection import Connection

# Topic, partition and offset.
SOURCE = re.compile(r"(.*):(\d+):(\d+)", re.ASCII | re.DOTALL)
# Bounds the letters that one reconciliation reads to explain gaps.
MAX_EXPLAINING = 20_000


class Source(NamedTuple):
    """The place that a message came from. It identifies the message for every consumer."""

    topic: str
    partition: int
    offset: int

    def text(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @staticmethod
    def parse(text: str) -> "Source | None":
        parts = SOURCE.fullmatch(text)
        return None if parts is None else Source(parts[1], int(parts[2]), int(parts[3]))


class Letter(NamedTuple):
    """A record of a dead-letter topic."""

    topic: str
    partition: int
    offset: int
    source: str
    source_topic: str | None
    source_partition: int | None
    source_offset: int | None
    consumer: str
    reason: str
    key: bytes | None
    value: bytes | None
    sent_at: datetime
    boot_id: str | None
    seq: int | None
    request_id: str | None
    account_id: str | None


class ExplainingLetter(NamedTuple):
    """The part of a letter that reconciliation needs. `service` and `source_topic` carry no topic prefix."""

    service: str
    source_topic: str | None
    source_partition: int | None
    source_offset: int | None
    boot_id: str | None
    seq: int | None
    request_id: str | None
    reason: str
    state: State


async def resume_at(connection: Connection, topic: str, partition: int) -> int:
    """Return the offset after the last stored record of a dead-letter topic, or 0."""
    [row] = await _rows(connection, "letters_resume", topic=topic, partition=partition)
    return row["next"] or 0


async def positions(connection: Connection) -> dict[tuple[str, int], int]:
    """Return the next offset to store, by dead-letter topic and partition."""
    return {(row["topic"], row["partition"]): row["next"] for row in await _rows(connection, "letters_positions")}


async def add(connection: Connection, letters: Sequence[Letter]) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(SQL["letters_add"], [letter._asdict() for letter in letters])


async def page(
    connection: Connection, state: str | None, before: datetime, before_source: str, limit: int
) -> list[DictRow]:
    return await _rows(connection, "letters_page", state=state, before=before, before_source=before_source, limit=limit)


async def source(connection: Connection, text: str) -> DictRow | None:
    rows = await _rows(connection, "letters_source", source=text)
    return rows[0] if rows else None


async def letters_of(connection: Connection, text: str) -> list[DictRow]:
    return await _rows(connection, "letters_of_source", source=text)


async def lock(connection: Connection, text: str) -> None:
    """Lock a message, so that no other transaction decides about it."""
    await connection.execute(SQL["letters_lock"], {"source": text})


async def decide(connection: Connection, text: str, decision: State, reason: str) -> None:
    await connection.execute(SQL["letters_decide"], {"source": text, "decision": decision.value, "reason": reason})


async def explaining(connection: Connection, prefix: str, since: datetime) -> list[ExplainingLetter]:
    """Read the letters since a time, newest first."""
    rows = await _rows(connection, "letters_for_reconciliation", since=since, limit=MAX_EXPLAINING)
    return [
        ExplainingLetter(
            service=row["consumer"].removeprefix(f"{prefix}.").split(".")[0],
            source_topic=None if row["source_topic"] is None else row["source_topic"].removeprefix(f"{prefix}."),
            source_partition=row["source_partition"],
            source_offset=row["source_offset"],
            boot_id=row["boot_id"],
            seq=row["seq"],
            request_id=row["request_id"],
            reason=row["reason"],
            state=State.DEAD_LETTERED if row["state"] == "open" else State(row["state"]),
        )
        for row in rows
    ]


async def _rows(connection: Connection, statement: str, **parameters: Any) -> list[DictRow]:
    return await (await connection.execute(SQL[statement], parameters)).fetchall()
