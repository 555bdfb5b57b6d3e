"""Queries about queued mails and their tokens."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from tollgate_accounts import rows
from tollgate_accounts.mails.kinds import MailKind
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.mails")


class Mail(NamedTuple):
    id: str
    kind: str
    recipient: str
    details: dict[str, Any]
    tries: int
    age: timedelta


async def add(
    connection: Connection, kind: MailKind, recipient: str, details: Mapping[str, str | int] | None = None
) -> None:
    """Queue a mail. It is sent after the caller's transaction commits."""
    await connection.execute(
        SQL["add_mail"],
        {"id": new_id(), "kind": kind.value, "recipient": recipient, "details": Jsonb(dict(details or {}))},
    )


async def claim(connection: Connection) -> Mail | None:
    """Return the mail that has been due longest, locked until the transaction ends."""
    row = await rows.fetch_one(connection, SQL["claim_mail"])
    return Mail(**row) if row else None


async def delete(connection: Connection, mail_id: str) -> None:
    await connection.execute(SQL["delete_mail"], {"id": mail_id})


async def postpone(connection: Connection, mail_id: str, delay: timedelta) -> None:
    await connection.execute(SQL["postpone_mail"], {"id": mail_id, "delay": delay})


async def insert_token(
    connection: Connection, *, token_hash: str, recipient: str, purpose: str, lifetime: timedelta
) -> bool:
    """Return False if nobody has this address, or the address is already verified."""
    row = await rows.fetch_one(
        connection,
        SQL["insert_token"],
        token_hash=token_hash,
        recipient=recipient,
        purpose=purpose,
        lifetime=lifetime,
    )
    return row is not None


async def set_invitation_token(connection: Connection, invitation_id: str, token_hash: str) -> bool:
    """Return False if the invitation was withdrawn or replaced."""
    row = await rows.fetch_one(connection, SQL["set_invitation_token"], id=invitation_id, token_hash=token_hash)
    return row is not None
