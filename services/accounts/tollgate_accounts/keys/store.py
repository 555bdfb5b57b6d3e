"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from psycopg.types.json import Jsonb

from tollgate_accounts import rows
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.keys")

# As they stand in the database: [{"period": "day", "amount_nano": 1}].
Budgets: TypeAlias = list[dict[str, Any]]


class ApiKey(NamedTuple):
    id: str
    name: str
    hint: str
    project_id: str | None
    models: list[str] | None
    allowed_ips: list[str] | None
    limits: dict[str, int]
    budgets: Budgets
    usage_scope: str
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaces: str | None
    first_id: str
    key_hash: str
    version: int
    created_by: str | None
    """The e-mail of whoever made it."""


class KeySettings(NamedTuple):
    """What whoever makes a key decides, and may change later."""

    name: str
    project_id: str | None
    models: list[str] | None
    allowed_ips: list[str] | None
    limits: dict[str, int]
    budgets: Budgets
    usage_scope: str
    expires_at: datetime | None


class Leaked(NamedTuple):
    id: str
    account_id: str
    name: str
    hint: str
    version: int


class Project(NamedTuple):
    id: str
    name: str
    budgets: Budgets
    created_at: datetime


async def insert_key(
    connection: Connection,
    account_id: str,
    settings: KeySettings,
    *,
    key_id: str,
    key_hash: str,
    hint: str,
    replaces: str | None,
    first_id: str,
    created_by: str,
) -> ApiKey:
    row = await rows.one(
        connection,
        SQL["insert_key"],
        account_id=account_id,
        id=key_id,
        key_hash=key_hash,
        hint=hint,
        replaces=replaces,
        first_id=first_id,
        created_by=created_by,
        **_columns(settings),
    )
    assert row is not None, "an insert returns its row"
    return ApiKey(**row)


async def update_key(connection: Connection, account_id: str, key_id: str, settings: KeySettings) -> ApiKey:
    row = await rows.one(connection, SQL["update_key"], account_id=account_id, id=key_id, **_columns(settings))
    assert row is not None, "the row was locked before"
    return ApiKey(**row)


async def list_keys(
    connection: Connection, account_id: str, project_id: str | None, after: str | None, limit: int
) -> list[ApiKey]:
    """Newest first."""
    found = await rows.every(
        connection, SQL["list_keys"], account_id=account_id, project_id=project_id, after=after, limit=limit
    )
    return [ApiKey(**row) for row in found]


async def find_key(connection: Connection, account_id: str, key_id: str) -> ApiKey | None:
    row = await rows.one(connection, SQL["find_key"], account_id=account_id, id=key_id)
    return ApiKey(**row) if row else None


async def lock_key(connection: Connection, account_id: str, key_id: str) -> ApiKey | None:
    row = await rows.one(connection, SQL["lock_key"], account_id=account_id, id=key_id)
    return ApiKey(**row) if row else None


async def lock_keys(connection: Connection, account_id: str, project_id: str | None) -> list[ApiKey]:
    """Those that have not been revoked."""
    found = await rows.every(connection, SQL["lock_keys"], account_id=account_id, project_id=project_id)
    return [ApiKey(**row) for row in found]


async def raise_versions(connection: Connection, key_ids: Sequence[str]) -> None:
    await connection.execute(SQL["raise_versions"], {"ids": list(key_ids)})


async def revoke_key(connection: Connection, account_id: str, key_id: str) -> int:
    """The key's new version."""
    row = await rows.one(connection, SQL["revoke_key"], account_id=account_id, id=key_id)
    assert row is not None, "the row was locked before"
    return int(row["version"])


async def revoke_leaked_key(connection: Connection, key_hash: str) -> Leaked | None:
    row = await rows.one(connection, SQL["revoke_leaked_key"], key_hash=key_hash)
    return Leaked(**row) if row else None


async def list_guardians(connection: Connection, account_id: str) -> list[str]:
    """The e-mails of the organization's owners and admins."""
    return [row["email"] for row in await rows.every(connection, SQL["list_guardians"], account_id=account_id)]


async def share_account(connection: Connection, account_id: str) -> bool:
    """Whether the organization is suspended; it stays so until the transaction ends."""
    row = await rows.one(connection, SQL["share_account"], id=account_id)
    assert row is not None, "organizations are never deleted"
    return bool(row["is_suspended"])


async def lock_account(connection: Connection, account_id: str) -> bool:
    """Whether the organization is suspended; nobody makes or changes a key of it until the transaction ends."""
    row = await rows.one(connection, SQL["lock_account"], id=account_id)
    assert row is not None, "organizations are never deleted"
    return bool(row["is_suspended"])


async def share_project(connection: Connection, account_id: str, project_id: str) -> Budgets | None:
    """Its budgets, which stay so until the transaction ends; None if there is no such project."""
    row = await rows.one(connection, SQL["share_project"], account_id=account_id, id=project_id)
    return row["budgets"] if row else None


async def budgets_of_projects(connection: Connection, account_id: str) -> dict[str, Budgets]:
    found = await rows.every(connection, SQL["budgets_of_projects"], account_id=account_id)
    return {row["id"]: row["budgets"] for row in found}


async def insert_project(
    connection: Connection, account_id: str, project_id: str, name: str, budgets: Budgets
) -> Project:
    row = await rows.one(
        connection, SQL["insert_project"], id=project_id, account_id=account_id, name=name, budgets=Jsonb(budgets)
    )
    assert row is not None, "an insert returns its row"
    return Project(**row)


async def list_projects(connection: Connection, account_id: str) -> list[Project]:
    return [Project(**row) for row in await rows.every(connection, SQL["list_projects"], account_id=account_id)]


async def update_project(
    connection: Connection, account_id: str, project_id: str, name: str | None, budgets: Budgets | None
) -> Project | None:
    """None if there is no such project; a None leaves a value as it is."""
    row = await rows.one(
        connection,
        SQL["update_project"],
        account_id=account_id,
        id=project_id,
        name=name,
        budgets=Jsonb(budgets) if budgets is not None else None,
    )
    return Project(**row) if row else None


async def archive_project(connection: Connection, account_id: str, project_id: str) -> bool:
    """False if there is no such project."""
    return await rows.one(connection, SQL["archive_project"], account_id=account_id, id=project_id) is not None


async def count_keys_of_project(connection: Connection, project_id: str) -> int:
    row = await rows.one(connection, SQL["count_keys_of_project"], project_id=project_id)
    assert row is not None, "a count returns its row"
    return int(row["keys"])


async def mark_used(connection: Connection, used: Mapping[str, datetime], every: timedelta) -> None:
    await connection.execute(SQL["mark_used"], {"ids": list(used.keys()), "times": list(used.values()), "every": every})


def _columns(settings: KeySettings) -> dict[str, Any]:
    return settings._asdict() | {"limits": Jsonb(settings.limits), "budgets": Jsonb(settings.budgets)}
