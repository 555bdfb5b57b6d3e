"""Queries about the keys that sign tokens."""

from datetime import timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.tokens")


class StoredKey(NamedTuple):
    kid: str
    public_key: bytes
    sealed_private_key: bytes
    signs_since: timedelta
    """Negative while the key is published and does not sign yet."""


async def lock_signing_keys(connection: Connection) -> None:
    await connection.execute(SQL["lock_signing_keys"])


async def read_signing_keys(connection: Connection) -> list[StoredKey]:
    """Return all keys, the newest last."""
    return [StoredKey(**row) for row in await rows.fetch_all(connection, SQL["read_signing_keys"])]


async def add_signing_key(
    connection: Connection, kid: str, *, public_key: bytes, sealed_private_key: bytes, signs_in: timedelta
) -> None:
    await connection.execute(
        SQL["add_signing_key"],
        {"kid": kid, "public_key": public_key, "sealed_private_key": sealed_private_key, "signs_in": signs_in},
    )


async def delete_dead_signing_keys(connection: Connection, retention: timedelta) -> None:
    await connection.execute(SQL["delete_dead_signing_keys"], {"retention": retention})


async def delete_signing_keys(connection: Connection) -> None:
    await connection.execute(SQL["delete_signing_keys"])
