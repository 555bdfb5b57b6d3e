"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from datetime import datetime
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_common.postgres import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.keys")


class ApiKey(NamedTuple):
    id: str
    name: str
    hint: str
    models: list[str] | None
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    version: int


class LockedKey(NamedTuple):
    key_hash: str
    revoked_at: datetime | None


async def insert_key(
    connection: Connection,
    *,
    account_id: str,
    key_id: str,
    name: str,
    key_hash: str,
    hint: str,
    models: list[str] | None,
    expires_at: datetime | None,
) -> ApiKey:
    row = await rows.one(
        connection,
        SQL["insert_key"],
        id=key_id,
        account_id=account_id,
        name=name,
        key_hash=key_hash,
        hint=hint,
        models=models,
        expires_at=expires_at,
    )
    assert row is not None, "an insert returns its row"
    return ApiKey(**row)


async def list_keys(connection: Connection, account_id: str, after: str | None, limit: int) -> list[ApiKey]:
    """Newest first."""
    cursor = await connection.execute(SQL["list_keys"], {"account_id": account_id, "after": after, "limit": limit})
    return [ApiKey(**row) for row in await cursor.fetchall()]


async def lock_key(connection: Connection, account_id: str, key_id: str) -> LockedKey | None:
    row = await rows.one(connection, SQL["lock_key"], account_id=account_id, id=key_id)
    return LockedKey(**row) if row else None


async def revoke_key(connection: Connection, account_id: str, key_id: str) -> int:
    """The key's new version."""
    row = await rows.one(connection, SQL["revoke_key"], account_id=account_id, id=key_id)
    assert row is not None, "the row was locked before"
    return int(row["version"])
