"""Publishes credit events to the ledger, in the order of each account's versions."""

from tollgate_accounts import rows
from tollgate_common.events import CreditEvent, encode
from tollgate_common.postgres import outbox
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements
from tollgate_common.topics import Topic

SQL = Statements("tollgate_accounts.credit")


async def next_version(connection: Connection, account_id: str) -> int:
    """Return the version of the account's next event. The account's row stays locked until the transaction ends."""
    row = await rows.fetch_one(connection, SQL["next_version"], account_id=account_id)
    assert row is not None, "the caller knows the account"
    return int(row["credit_version"])


async def publish(connection: Connection, version: int, event: CreditEvent) -> None:
    """Add the event to the outbox, in the transaction that took the version."""
    await outbox.add(connection, outbox.Message(Topic.CREDITS, event.account_id, version, encode(event)))
