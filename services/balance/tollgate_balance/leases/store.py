"""Boots, leases and shortages."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from tollgate_balance.database.statements import SQL
from tollgate_balance.leases.rules import Lease
from tollgate_common.errors import InconsistentState
from tollgate_common.lease_protocol import LeaseState
from tollgate_common.postgres.connection import Connection


class Boots(NamedTuple):
    """Boots whose rows are locked in share mode until the transaction ends, and the number of live edges."""

    is_fenced: dict[str, bool]
    edges: int


async def share_boots(connection: Connection, boot_ids: Collection[str]) -> Boots:
    cursor = await connection.execute(SQL["share_boots"], {"boot_ids": list(boot_ids)})
    rows = await cursor.fetchall()
    return Boots({row["boot_id"]: row["fenced"] for row in rows}, rows[0]["edges"] if rows else 0)


async def read_leases(connection: Connection, lease_ids: Collection[str]) -> dict[str, Lease]:
    cursor = await connection.execute(SQL["read_leases"], {"lease_ids": list(lease_ids)})
    return {row["lease_id"]: _lease(**row) for row in await cursor.fetchall()}


async def save_leases(connection: Connection, leases: Collection[Lease]) -> None:
    """Write new and changed leases of locked accounts.

    Raises:
        InconsistentState: a lease of that id belongs to another account.
    """
    cursor = await connection.execute(
        SQL["save_leases"],
        {
            "lease_ids": [lease.lease_id for lease in leases],
            "account_ids": [lease.account_id for lease in leases],
            "boot_ids": [lease.boot_id for lease in leases],
            "states": [lease.state.value for lease in leases],
            "authorised": [lease.limit_nano for lease in leases],
            "settled": [lease.settled_nano for lease in leases],
            "revs": [lease.rev for lease in leases],
            "windows": ["{" + ",".join(map(str, lease.window_ids)) + "}" for lease in leases],
        },
    )
    if cursor.rowcount != len(leases):
        raise InconsistentState(
            f"{len(leases) - cursor.rowcount} of {len(leases)} leases belong to accounts that are not locked"
        )


async def note_shortages(connection: Connection, account_ids: Collection[str], lasting: timedelta) -> None:
    await connection.execute(SQL["note_shortages"], {"account_ids": list(account_ids), "lasting": lasting})


# --- the life of a boot -----------------------------------------------------------------------------------------------


async def renew(connection: Connection, boot_id: str, edge: str) -> bool:
    """Renew a boot. Return False if it is fenced."""
    cursor = await connection.execute(SQL["renew_boot"], {"boot_id": boot_id, "edge": edge})
    return await cursor.fetchone() is not None


async def read_open(connection: Connection, boot_id: str) -> list[str]:
    cursor = await connection.execute(SQL["read_open_leases"], {"boot_id": boot_id})
    return [row["lease_id"] for row in await cursor.fetchall()]


async def read_to_shrink(connection: Connection, boot_id: str) -> list[str]:
    cursor = await connection.execute(SQL["read_leases_to_shrink"], {"boot_id": boot_id})
    return [row["lease_id"] for row in await cursor.fetchall()]


async def count_edges(connection: Connection) -> int:
    cursor = await connection.execute(SQL["count_edges"])
    row = await cursor.fetchone()
    return int(row["edges"]) if row is not None else 0


async def fence_silent(connection: Connection, lease: timedelta) -> dict[str, str]:
    """Fence the boots that have not renewed for `lease`. Return the edge of each."""
    cursor = await connection.execute(SQL["fence_silent_boots"], {"lease": lease})
    return {row["boot_id"]: row["edge"] for row in await cursor.fetchall()}


async def read_boots_without_ends(connection: Connection) -> list[str]:
    cursor = await connection.execute(SQL["read_boots_without_ends"])
    return [row["boot_id"] for row in await cursor.fetchall()]


async def save_usage_ends(connection: Connection, boot_ids: Sequence[str], ends: Sequence[int]) -> None:
    await connection.execute(SQL["save_usage_ends"], {"boot_ids": list(boot_ids), "ends": list(ends)})


async def read_drained_boots(connection: Connection, usage_topic: str) -> list[str]:
    cursor = await connection.execute(SQL["read_drained_boots"], {"topic": usage_topic})
    return [row["boot_id"] for row in await cursor.fetchall()]


async def read_unreleased_accounts(connection: Connection, boot_id: str, limit: int) -> list[str]:
    cursor = await connection.execute(SQL["read_unreleased_accounts"], {"boot_id": boot_id, "limit": limit})
    return [row["account_id"] for row in await cursor.fetchall()]


async def read_unreleased(connection: Connection, boot_id: str, account_ids: Collection[str]) -> list[Lease]:
    parameters = {"boot_id": boot_id, "account_ids": list(account_ids)}
    cursor = await connection.execute(SQL["read_unreleased_leases"], parameters)
    return [_lease(**row) for row in await cursor.fetchall()]


async def mark_released(connection: Connection, boot_id: str) -> None:
    await connection.execute(SQL["mark_released"], {"boot_id": boot_id})


def _lease(*, state: str, window_ids: list[int], **columns: str | int) -> Lease:
    return Lease(state=LeaseState(state), window_ids=tuple(window_ids), **columns)  # type: ignore[arg-type] # the columns' types are the table's
