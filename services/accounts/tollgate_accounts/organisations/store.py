"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from datetime import datetime
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_accounts.access.roles import Role
from tollgate_common.postgres import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.organisations")


class Organisation(NamedTuple):
    id: str
    name: str
    created_at: datetime


class OrganisationOfPerson(NamedTuple):
    id: str
    name: str
    role: str
    created_at: datetime


async def insert_organisation(connection: Connection, account_id: str, name: str) -> None:
    await connection.execute(SQL["insert_organisation"], {"id": account_id, "name": name})


async def insert_membership(connection: Connection, account_id: str, person_id: str, role: Role) -> bool:
    """False if the person is a member already."""
    row = await rows.one(
        connection, SQL["insert_membership"], account_id=account_id, person_id=person_id, role=role.value
    )
    return row is not None


async def find_organisation(connection: Connection, account_id: str) -> Organisation | None:
    row = await rows.one(connection, SQL["find_organisation"], id=account_id)
    return Organisation(**row) if row else None


async def list_organisations(connection: Connection, person_id: str) -> list[OrganisationOfPerson]:
    found = await rows.every(connection, SQL["list_organisations"], person_id=person_id)
    return [OrganisationOfPerson(**row) for row in found]
