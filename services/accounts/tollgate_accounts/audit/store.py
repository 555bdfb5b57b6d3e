"""The audit log: who did what, on what, when and from where. It is only ever added to; the database sees to that."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, TypeAlias

from psycopg.types.json import Jsonb

from tollgate_accounts import rows
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.audit")

Detail: TypeAlias = str | int | bool | list[str] | None


class Actor(NamedTuple):
    """Who acts, and from where."""

    kind: str
    """`person`, `operator`, `service` or `anonymous`."""
    id: str
    address: str


class Entry(NamedTuple):
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


async def record(
    connection: Connection,
    actor: Actor,
    action: str,
    target: tuple[str, str],
    *,
    account_id: str | None,
    details: Mapping[str, Detail] | None = None,
) -> None:
    """Write an act into the log, in the transaction of the act itself: there is neither without the other.

    Args:
        connection: the caller's, in its transaction.
        actor: who.
        action: what, as the target's noun and a verb in the past tense: `key.revoked`.
        target: on what: its kind and its id.
        account_id: the organization that is shown it, if it concerns one.
        details: what else a reader needs, such as the values that changed; never a secret.
    """
    kind, target_id = target
    await connection.execute(
        SQL["add_entry"],
        {
            "id": new_id(),
            "account_id": account_id,
            "actor_kind": actor.kind,
            "actor_id": actor.id,
            "address": actor.address,
            "action": action,
            "target_kind": kind,
            "target_id": target_id,
            "details": Jsonb(dict(details or {})),
        },
    )


async def list_entries(connection: Connection, account_id: str, after: str | None, limit: int) -> list[Entry]:
    """Newest first."""
    found = await rows.every(connection, SQL["list_entries"], account_id=account_id, after=after, limit=limit)
    return [Entry(**row) for row in found]
