"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_common.postgres import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.identity")


class Credentials(NamedTuple):
    person_id: str
    password_hash: str


class Attempts(NamedTuple):
    """Attempts to sign in within a window of time, and when that ends."""

    attempts: int
    ends_in: timedelta


def fold_email(email: str) -> str:
    """What is the same for two spellings of one e-mail. No provider in use tells capitals apart."""
    return email.lower()


async def insert_person(connection: Connection, person_id: str, email: str, password_hash: str) -> bool:
    """False if the e-mail is taken."""
    row = await rows.one(
        connection,
        SQL["insert_person"],
        id=person_id,
        email=email,
        email_folded=fold_email(email),
        password_hash=password_hash,
    )
    return row is not None


async def find_credentials(connection: Connection, email: str) -> Credentials | None:
    row = await rows.one(connection, SQL["find_credentials"], email_folded=fold_email(email))
    return Credentials(**row) if row else None


async def count_sign_in_attempt(connection: Connection, email: str, address: str, window: timedelta) -> Attempts:
    row = await rows.one(
        connection, SQL["count_sign_in_attempt"], email_folded=fold_email(email), address=address, window=window
    )
    assert row is not None, "an upsert returns its row"
    return Attempts(**row)


async def purge_sign_in_attempts(connection: Connection, window: timedelta) -> None:
    await connection.execute(SQL["purge_sign_in_attempts"], {"window": window})


async def forget_sign_in_attempts(connection: Connection, email: str, address: str) -> None:
    await connection.execute(SQL["forget_sign_in_attempts"], {"email_folded": fold_email(email), "address": address})


async def insert_session(
    connection: Connection,
    *,
    session_id: str,
    person_id: str,
    token_hash: str,
    user_agent: str,
    address: str,
    lifetime: timedelta,
) -> datetime:
    """When the session will end. It begins in the organisation that the person joined first."""
    row = await rows.one(
        connection,
        SQL["insert_session"],
        id=session_id,
        person_id=person_id,
        token_hash=token_hash,
        user_agent=user_agent,
        address=address,
        lifetime=lifetime,
    )
    assert row is not None, "an insert returns its row"
    expires_at: datetime = row["expires_at"]
    return expires_at


async def delete_expired_sessions(connection: Connection, person_id: str) -> None:
    await connection.execute(SQL["delete_expired_sessions"], {"person_id": person_id})


async def delete_session(connection: Connection, person_id: str, session_id: str) -> None:
    await connection.execute(SQL["delete_session"], {"person_id": person_id, "id": session_id})
