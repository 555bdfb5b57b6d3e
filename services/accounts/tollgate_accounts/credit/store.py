"""What leaves for the ledger: grants and adjustments, in order for each account."""

from tollgate_accounts import rows
from tollgate_common.events import CreditEvent, encode
from tollgate_common.postgres import outbox
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements
from tollgate_common.topics import Topic

SQL = Statements("tollgate_accounts.credit")


async def next_version(connection: Connection, account_id: str) -> int:
    """The version of the account's next message; its row is locked until the transaction ends."""
    row = await rows.one(connection, SQL["next_version"], account_id=account_id)
    assert row is not None, "the caller knows the account"
    return int(row["credit_version"])


async def tell(connection: Connection, version: int, event: CreditEvent) -> None:
    """Send it to the ledger with the transaction that drew the version."""
    await outbox.add(connection, outbox.Message(Topic.CREDITS, event.account_id, version, encode(event)))
