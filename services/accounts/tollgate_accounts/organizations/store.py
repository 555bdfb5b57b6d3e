"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_accounts.access.roles import Role
from tollgate_accounts.emails import fold
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.organizations")


class Organization(NamedTuple):
    id: str
    name: str
    created_at: datetime


class OrganizationOfPerson(NamedTuple):
    id: str
    name: str
    role: str
    created_at: datetime


async def insert_organization(connection: Connection, account_id: str, name: str, founded_by: str) -> None:
    await connection.execute(SQL["insert_organization"], {"id": account_id, "name": name, "founded_by": founded_by})


async def count_founded(connection: Connection, person_id: str) -> int:
    row = await rows.one(connection, SQL["count_founded"], person_id=person_id)
    assert row is not None, "a count is a row"
    return int(row["founded"])


async def insert_membership(connection: Connection, account_id: str, person_id: str, role: Role) -> bool:
    """False if the person is a member already."""
    row = await rows.one(
        connection, SQL["insert_membership"], account_id=account_id, person_id=person_id, role=role.value
    )
    return row is not None


async def find_organization(connection: Connection, account_id: str) -> Organization | None:
    row = await rows.one(connection, SQL["find_organization"], id=account_id)
    return Organization(**row) if row else None


async def list_organizations(connection: Connection, person_id: str) -> list[OrganizationOfPerson]:
    found = await rows.every(connection, SQL["list_organizations"], person_id=person_id)
    return [OrganizationOfPerson(**row) for row in found]


class Member(NamedTuple):
    person_id: str
    email: str
    role: str
    joined_at: datetime


class Invitation(NamedTuple):
    id: str
    email: str
    role: str
    created_at: datetime
    expires_at: datetime


class Withdrawn(NamedTuple):
    id: str
    email: str


class Accepted(NamedTuple):
    account_id: str
    role: str


async def rename_organization(connection: Connection, account_id: str, name: str) -> None:
    await connection.execute(SQL["rename_organization"], {"id": account_id, "name": name})


async def switch_session(connection: Connection, session_id: str, account_id: str) -> bool:
    """False if the session's person is no member there."""
    return await rows.one(connection, SQL["switch_session"], session_id=session_id, account_id=account_id) is not None


async def list_members(connection: Connection, account_id: str) -> list[Member]:
    """Who joined first comes first."""
    return [Member(**row) for row in await rows.every(connection, SQL["list_members"], account_id=account_id)]


async def lock_members(connection: Connection, account_id: str) -> dict[str, Role]:
    """Each person's role, which stays what it is until the transaction ends."""
    found = await rows.every(connection, SQL["lock_members"], account_id=account_id)
    return {row["person_id"]: Role(row["role"]) for row in found}


async def share_role(connection: Connection, account_id: str, person_id: str) -> Role | None:
    """What a person is in an organization, which stays so until the transaction ends; None if they are no member."""
    row = await rows.one(connection, SQL["share_role"], account_id=account_id, person_id=person_id)
    return Role(row["role"]) if row else None


async def set_role(connection: Connection, account_id: str, person_id: str, role: Role) -> None:
    await connection.execute(SQL["set_role"], {"account_id": account_id, "person_id": person_id, "role": role.value})


async def delete_membership(connection: Connection, account_id: str, person_id: str) -> None:
    await connection.execute(SQL["delete_membership"], {"account_id": account_id, "person_id": person_id})


async def move_sessions(connection: Connection, account_id: str, person_id: str) -> None:
    """Let no session of the person be about an organization that they have left."""
    await connection.execute(SQL["move_sessions"], {"account_id": account_id, "person_id": person_id})


async def settle_sessions(connection: Connection, account_id: str, person_id: str) -> None:
    """Let the person's sessions that are about none be about this organization."""
    await connection.execute(SQL["settle_sessions"], {"account_id": account_id, "person_id": person_id})


async def upsert_invitation(
    connection: Connection,
    *,
    invitation_id: str,
    account_id: str,
    email: str,
    role: Role,
    invited_by: str,
    lifetime: timedelta,
) -> Invitation:
    row = await rows.one(
        connection,
        SQL["upsert_invitation"],
        id=invitation_id,
        account_id=account_id,
        email=email,
        email_folded=fold(email),
        role=role.value,
        invited_by=invited_by,
        lifetime=lifetime,
    )
    assert row is not None, "an upsert returns its row"
    return Invitation(**row)


async def list_invitations(connection: Connection, account_id: str) -> list[Invitation]:
    """Oldest first."""
    found = await rows.every(connection, SQL["list_invitations"], account_id=account_id)
    return [Invitation(**row) for row in found]


async def delete_invitation(connection: Connection, account_id: str, invitation_id: str) -> str | None:
    """The e-mail that it was sent to; None if there is no such invitation."""
    row = await rows.one(connection, SQL["delete_invitation"], account_id=account_id, id=invitation_id)
    return row["email"] if row else None


async def list_founded(connection: Connection, person_id: str) -> dict[str, Role]:
    """The organizations that a person has founded and is a member of, and as what."""
    found = await rows.every(connection, SQL["list_founded"], person_id=person_id)
    return {row["id"]: Role(row["role"]) for row in found}


async def delete_invitations(connection: Connection, account_id: str) -> list[Withdrawn]:
    """End all of an organization's."""
    return [Withdrawn(**row) for row in await rows.every(connection, SQL["delete_invitations"], account_id=account_id)]


async def delete_invitations_of(
    connection: Connection, account_id: str, person_id: str, kept: Collection[Role]
) -> list[Withdrawn]:
    """End those that the person has sent, but for these roles."""
    found = await rows.every(
        connection,
        SQL["delete_invitations_of"],
        account_id=account_id,
        person_id=person_id,
        kept=[role.value for role in kept],
    )
    return [Withdrawn(**row) for row in found]


async def take_invitation(connection: Connection, token_hash: str, email: str) -> Accepted | None:
    row = await rows.one(connection, SQL["take_invitation"], token_hash=token_hash, email_folded=fold(email))
    return Accepted(**row) if row else None
