"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_accounts.emails import fold
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.identity")


class Credentials(NamedTuple):
    person_id: str
    email: str
    password_hash: str
    is_verified: bool


class SessionOfPerson(NamedTuple):
    id: str
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Verified(NamedTuple):
    email: str
    promo_code: str | None
    is_first: bool
    """Whether the e-mail was not verified before."""


async def insert_person(
    connection: Connection, *, person_id: str, email: str, password_hash: str, promo_code: str | None
) -> bool:
    """False if the e-mail is taken."""
    row = await rows.one(
        connection,
        SQL["insert_person"],
        id=person_id,
        email=email,
        email_folded=fold(email),
        password_hash=password_hash,
        promo_code=promo_code,
    )
    return row is not None


async def find_credentials(connection: Connection, email: str) -> Credentials | None:
    row = await rows.one(connection, SQL["find_credentials"], email_folded=fold(email))
    return Credentials(**row) if row else None


async def find_password(connection: Connection, person_id: str) -> str:
    row = await rows.one(connection, SQL["find_password"], id=person_id)
    assert row is not None, "persons are never deleted"
    password_hash: str = row["password_hash"]
    return password_hash


async def set_password(connection: Connection, person_id: str, password_hash: str) -> str:
    """The person's e-mail."""
    row = await rows.one(connection, SQL["set_password"], id=person_id, password_hash=password_hash)
    assert row is not None, "persons are never deleted"
    email: str = row["email"]
    return email


async def find_token_password(connection: Connection, token_hash: str, purpose: str) -> str | None:
    """The hash of the password of whose token it is; None if it does not work, or not any more."""
    row = await rows.one(connection, SQL["find_token_password"], token_hash=token_hash, purpose=purpose)
    return row["password_hash"] if row else None


async def take_token(connection: Connection, token_hash: str, purposes: Sequence[str]) -> str | None:
    """Whose token it was; None if it does not work, or not any more."""
    row = await rows.one(connection, SQL["take_token"], token_hash=token_hash, purposes=list(purposes))
    return row["person_id"] if row else None


async def purge_tokens(connection: Connection, person_id: str, purpose: str) -> None:
    await connection.execute(SQL["purge_tokens"], {"person_id": person_id, "purpose": purpose})


async def verify_email(connection: Connection, person_id: str) -> Verified:
    row = await rows.one(connection, SQL["verify_email"], id=person_id)
    assert row is not None, "persons are never deleted"
    return Verified(**row)


async def first_organization(connection: Connection, person_id: str) -> str | None:
    row = await rows.one(connection, SQL["first_organization"], person_id=person_id)
    return row["account_id"] if row else None


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
    """When the session will end. It begins in the organization that the person joined first."""
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


async def list_sessions(connection: Connection, person_id: str) -> list[SessionOfPerson]:
    """Used last first."""
    found = await rows.every(connection, SQL["list_sessions"], person_id=person_id)
    return [SessionOfPerson(**row) for row in found]


async def delete_expired_sessions(connection: Connection, person_id: str) -> None:
    await connection.execute(SQL["delete_expired_sessions"], {"person_id": person_id})


async def delete_other_sessions(connection: Connection, person_id: str, kept: str | None) -> None:
    await connection.execute(SQL["delete_other_sessions"], {"person_id": person_id, "kept": kept})


async def delete_session(connection: Connection, person_id: str, session_id: str) -> bool:
    """False if the person has no such session."""
    return await rows.one(connection, SQL["delete_session"], person_id=person_id, id=session_id) is not None
