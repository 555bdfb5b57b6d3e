"""The audit log: who did what, to what, when and from where. A database trigger makes it append-only."""

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
    """The person, operator or service that acts, and the address they act from."""

    kind: str
    """`person`, `operator`, `service` or `anonymous`."""
    id: str
    address: str


class AuditEntry(NamedTuple):
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
    """Record an action in the transaction of the action itself, so that neither commits without the other.

    Args:
        connection: the caller's connection, in its transaction.
        actor: who acts.
        action: the target's noun and a verb in the past tense, such as `key.revoked`.
        target: the kind and the id of the target.
        account_id: the organization that may read the entry, if it concerns one.
        details: further facts for the reader, such as the changed values. Never a secret.
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


async def list_entries(connection: Connection, account_id: str, after: str | None, limit: int) -> list[AuditEntry]:
    """Return a page of an organization's entries, newest first."""
    found = await rows.fetch_all(connection, SQL["list_entries"], account_id=account_id, after=after, limit=limit)
    return [AuditEntry(**row) for row in found]
