"""Queries about payments. Each function runs one statement in the caller's transaction."""

from datetime import datetime
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.payments")


class Payment(NamedTuple):
    id: str
    account_id: str
    method: str
    reference: str | None
    state: str
    amount_nano: int
    currency: str
    reason: str
    refunded_nano: int
    disputed_nano: int
    credited_nano: int
    granted: bool
    created_at: datetime
    paid_at: datetime | None


class NewPayment(NamedTuple):
    id: str
    account_id: str
    method: str
    reference: str | None
    amount_nano: int
    currency: str
    reason: str


class ReportedReduction(NamedTuple):
    """A refund or a dispute as an event reports it, with that event's time and id."""

    id: str
    kind: str
    payment_intent: str
    amount_nano: int
    status: str
    takes: bool
    rank: int
    reported_at: datetime
    reported_by: str


async def add_payment(connection: Connection, payment: NewPayment) -> bool:
    """Return False if the method already has a payment with this reference."""
    return await rows.fetch_one(connection, SQL["add_payment"], **payment._asdict()) is not None


async def find_by_reference(connection: Connection, method: str, reference: str) -> str:
    row = await rows.fetch_one(connection, SQL["find_by_reference"], method=method, reference=reference)
    assert row is not None, "payments are never deleted"
    return str(row["id"])


async def read_payment(connection: Connection, payment_id: str) -> Payment:
    row = await rows.fetch_one(connection, SQL["read_payment"], id=payment_id)
    assert row is not None, "payments are never deleted"
    return Payment(**row)


async def lock_payment(connection: Connection, payment_id: str) -> Payment | None:
    row = await rows.fetch_one(connection, SQL["lock_payment"], id=payment_id)
    return Payment(**row) if row else None


async def list_payments(connection: Connection, account_id: str, after: str | None, limit: int) -> list[Payment]:
    """Return a page of payments, newest first."""
    found = await rows.fetch_all(connection, SQL["list_payments"], account_id=account_id, after=after, limit=limit)
    return [Payment(**row) for row in found]


async def set_reference(connection: Connection, payment_id: str, reference: str) -> None:
    await connection.execute(SQL["set_reference"], {"id": payment_id, "reference": reference})


async def mark_paid(connection: Connection, payment_id: str, amount_nano: int) -> None:
    await connection.execute(SQL["mark_paid"], {"id": payment_id, "amount_nano": amount_nano})


async def set_intent(connection: Connection, payment_id: str, payment_intent: str) -> None:
    await connection.execute(SQL["set_intent"], {"id": payment_id, "payment_intent": payment_intent})


async def mark_ended(connection: Connection, payment_id: str, state: str) -> None:
    await connection.execute(SQL["mark_ended"], {"id": payment_id, "state": state})


async def add_event(connection: Connection, method: str, event_id: str, kind: str) -> bool:
    """Return False if the event has been applied before."""
    return await rows.fetch_one(connection, SQL["add_event"], method=method, event_id=event_id, type=kind) is not None


async def lock_intent(connection: Connection, payment_intent: str) -> None:
    await connection.execute(SQL["lock_intent"], {"payment_intent": payment_intent})


async def save_reduction(connection: Connection, reduction: ReportedReduction) -> None:
    await connection.execute(SQL["save_reduction"], reduction._asdict())


async def find_by_intent(connection: Connection, payment_intent: str) -> str | None:
    row = await rows.fetch_one(connection, SQL["find_by_intent"], payment_intent=payment_intent)
    return str(row["id"]) if row else None


async def sum_reductions(connection: Connection, payment_id: str) -> tuple[int, int]:
    """Return the amounts that refunds and disputes currently take."""
    row = await rows.fetch_one(connection, SQL["sum_reductions"], id=payment_id)
    assert row is not None, "a sum is a row"
    return int(row["refunded_nano"]), int(row["disputed_nano"])


async def save_settlement(
    connection: Connection, payment_id: str, *, refunded_nano: int, disputed_nano: int, credited_nano: int
) -> None:
    await connection.execute(
        SQL["save_settlement"],
        {
            "id": payment_id,
            "refunded_nano": refunded_nano,
            "disputed_nano": disputed_nano,
            "credited_nano": credited_nano,
        },
    )


async def add_adjustment(
    connection: Connection,
    *,
    adjustment_id: str,
    account_id: str,
    payment_id: str | None,
    amount_nano: int,
    reason: str,
) -> datetime:
    """Return when the adjustment was recorded."""
    row = await rows.fetch_one(
        connection,
        SQL["add_adjustment"],
        id=adjustment_id,
        account_id=account_id,
        payment_id=payment_id,
        amount_nano=amount_nano,
        reason=reason,
    )
    assert row is not None, "an insert returns its row"
    created_at: datetime = row["created_at"]
    return created_at
