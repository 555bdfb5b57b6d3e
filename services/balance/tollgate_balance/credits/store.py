"""Grants and their remainders, as rows."""

from collections import defaultdict
from collections.abc import Collection

from tollgate_balance.credits.portfolio import CreditGrant
from tollgate_balance.database.statements import SQL, one
from tollgate_common.postgres.connection import Connection


async def add_grant(connection: Connection, grant: CreditGrant, reason: str) -> bool:
    """Insert a grant. Return False if its id exists."""
    cursor = await connection.execute(
        SQL["add_grant"],
        {
            "grant_id": grant.grant_id,
            "account_id": grant.account_id,
            "amount_nano": grant.remaining_nano,
            "source": grant.source,
            "reason": reason,
            "priority": grant.priority,
            "at": grant.granted_at,
            "expires_at": grant.expires_at,
        },
    )
    return await cursor.fetchone() is not None


async def read_grant(connection: Connection, grant_id: str) -> tuple[str, int, str]:
    """Return the account, the amount and the source of a grant."""
    row = await one(await connection.execute(SQL["read_grant"], {"id": grant_id}))
    return row["account_id"], row["amount_nano"], row["source"]


async def read_open(connection: Connection, account_ids: Collection[str]) -> dict[str, list[CreditGrant]]:
    """Read the grants of locked accounts that have a remainder."""
    cursor = await connection.execute(SQL["read_open_grants"], {"account_ids": list(account_ids)})
    grants: dict[str, list[CreditGrant]] = defaultdict(list)
    for row in await cursor.fetchall():
        grants[row["account_id"]].append(CreditGrant(**row))
    return grants


async def save_grants(connection: Connection, grants: Collection[CreditGrant]) -> None:
    await connection.execute(
        SQL["save_grants"],
        {
            "grant_ids": [grant.grant_id for grant in grants],
            "remaining": [grant.remaining_nano for grant in grants],
            "expired": [grant.expired_nano for grant in grants],
            "are_expired": [grant.is_expired for grant in grants],
        },
    )


async def read_accounts_to_expire(connection: Connection, limit: int) -> list[str]:
    cursor = await connection.execute(SQL["read_accounts_to_expire"], {"limit": limit})
    return [row["account_id"] for row in await cursor.fetchall()]


async def read_to_expire(connection: Connection, account_ids: Collection[str]) -> set[str]:
    """Read the grants of locked accounts that have reached their expiry time."""
    cursor = await connection.execute(SQL["read_grants_to_expire"], {"account_ids": list(account_ids)})
    return {row["grant_id"] for row in await cursor.fetchall()}
