"""Runs the statements of `sql/`: what operators look at and change."""

from datetime import datetime
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_accounts.audit.store import Detail
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.operators")


class Account(NamedTuple):
    id: str
    name: str
    created_at: datetime
    suspended_at: datetime | None


class MemberRow(NamedTuple):
    person_id: str
    email: str
    role: str


class KeyRow(NamedTuple):
    id: str
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class OperatorRow(NamedTuple):
    person_id: str
    email: str
    granted_at: datetime


class EntryRow(NamedTuple):
    id: str
    at: datetime
    actor_kind: str
    actor_id: str
    actor_email: str | None
    address: str
    action: str
    target_kind: str
    target_id: str
    target_name: str | None
    details: dict[str, Detail]
    account_id: str | None


async def find_by_id(connection: Connection, account_id: str) -> list[Account]:
    return [Account(**row) for row in await rows.every(connection, SQL["find_by_id"], id=account_id)]


async def find_by_email(connection: Connection, email_folded: str) -> list[Account]:
    return [Account(**row) for row in await rows.every(connection, SQL["find_by_email"], email_folded=email_folded)]


async def find_by_key_id(connection: Connection, key_id: str) -> list[Account]:
    return [Account(**row) for row in await rows.every(connection, SQL["find_by_key_id"], key_id=key_id)]


async def find_by_key_prefix(connection: Connection, prefix: str) -> list[Account]:
    """`prefix` as a key begins; in a pattern its underscore would stand for any character."""
    pattern = prefix.replace("_", r"\_") + "%"
    return [Account(**row) for row in await rows.every(connection, SQL["find_by_key_prefix"], pattern=pattern)]


async def list_members(connection: Connection, account_id: str) -> list[MemberRow]:
    return [MemberRow(**row) for row in await rows.every(connection, SQL["list_members"], account_id=account_id)]


async def list_keys(connection: Connection, account_id: str, after: str | None, limit: int) -> list[KeyRow]:
    """Newest first."""
    found = await rows.every(connection, SQL["list_keys"], account_id=account_id, after=after, limit=limit)
    return [KeyRow(**row) for row in found]


async def list_entries(connection: Connection, account_id: str | None, after: str | None, limit: int) -> list[EntryRow]:
    """Of one organization or of all, newest first."""
    found = await rows.every(connection, SQL["list_entries"], account_id=account_id, after=after, limit=limit)
    return [EntryRow(**row) for row in found]


async def list_operators(connection: Connection) -> list[OperatorRow]:
    return [OperatorRow(**row) for row in await rows.every(connection, SQL["list_operators"])]


async def find_person(connection: Connection, email_folded: str) -> str | None:
    row = await rows.one(connection, SQL["find_person"], email_folded=email_folded)
    return str(row["id"]) if row else None


async def add_operator(connection: Connection, person_id: str) -> bool:
    """False if the person is one already."""
    return await rows.one(connection, SQL["add_operator"], person_id=person_id) is not None


async def delete_operator(connection: Connection, person_id: str) -> bool:
    """False if the person is none."""
    return await rows.one(connection, SQL["delete_operator"], person_id=person_id) is not None


async def suspend(connection: Connection, account_id: str) -> bool:
    """False if it is suspended already."""
    return await rows.one(connection, SQL["suspend"], id=account_id) is not None


async def resume(connection: Connection, account_id: str) -> bool:
    """False if it is not suspended."""
    return await rows.one(connection, SQL["resume"], id=account_id) is not None
