"""Runs the statements of `sql/`: who calls."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_accounts.rules import Limit
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.access")
# A session's row is written at most this often, however often it is used.
SEEN_EVERY = timedelta(minutes=1)


class Session(NamedTuple):
    session_id: str
    person_id: str
    email: str
    is_verified: bool
    must_be_marked: bool
    account_id: str | None
    role: str | None


async def find_session(connection: Connection, token_hash: str, account_id: str | None) -> Session | None:
    """Whose session it is, and their role in the organization `account_id`, or without one in the session's own."""
    row = await rows.one(
        connection, SQL["find_session"], token_hash=token_hash, account_id=account_id, seen_every=SEEN_EVERY
    )
    return Session(**row) if row else None


async def mark_seen(connection: Connection, session_id: str, address: str) -> None:
    await connection.execute(SQL["mark_seen"], {"id": session_id, "address": address})


async def lock_person(connection: Connection, person_id: str) -> None:
    """Have whatever else is counted for the person wait until the transaction ends."""
    await rows.one(connection, SQL["lock_person"], id=person_id)


async def is_operator(connection: Connection, person_id: str) -> bool:
    return await rows.one(connection, SQL["find_operator"], person_id=person_id) is not None


class Attempts(NamedTuple):
    """Attempts of an action within a window of time, and when that ends."""

    action: str
    attempts: int
    ends_in: timedelta


async def count_attempts(connection: Connection, tries: Sequence[tuple[Limit, str]]) -> list[Attempts]:
    found = await rows.every(
        connection,
        SQL["count_attempts"],
        actions=[limit.action for limit, _ in tries],
        subjects=[subject for _, subject in tries],
        windows=[limit.window for limit, _ in tries],
    )
    return [Attempts(**row) for row in found]


async def purge_attempts(connection: Connection) -> None:
    await connection.execute(SQL["purge_attempts"])


async def forget_attempts(connection: Connection, limit: Limit, subject: str) -> None:
    await connection.execute(SQL["forget_attempts"], {"action": limit.action, "subject": subject})
