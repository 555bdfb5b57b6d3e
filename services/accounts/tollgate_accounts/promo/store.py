"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_common.postgres import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.promo")


class PromoCode(NamedTuple):
    """A code as an operator creates it; None is no bound."""

    code: str
    amount_nano: int
    starts_at: datetime | None
    ends_at: datetime | None
    max_redemptions: int | None
    credit_expires_after: timedelta | None


class Redeemable(NamedTuple):
    id: str
    amount_nano: int
    expires_at: datetime | None
    is_early: bool
    is_over: bool


class Grant(NamedTuple):
    grant_id: str
    amount_nano: int
    expires_at: datetime | None
    redeemed_at: datetime


async def insert_promo_code(connection: Connection, promo_code_id: str, promo_code: PromoCode) -> None:
    """Does nothing if the code exists."""
    await connection.execute(SQL["insert_promo_code"], {"id": promo_code_id, **promo_code._asdict()})


async def find_promo_code(connection: Connection, code: str) -> PromoCode | None:
    row = await rows.one(connection, SQL["find_promo_code"], code=code)
    return PromoCode(**row) if row else None


async def find_redeemable(connection: Connection, code: str) -> Redeemable | None:
    row = await rows.one(connection, SQL["find_redeemable"], code=code)
    return Redeemable(**row) if row else None


async def next_credit_version(connection: Connection, account_id: str) -> int:
    row = await rows.one(connection, SQL["next_credit_version"], account_id=account_id)
    assert row is not None, "the session's account exists"
    return int(row["credit_version"])


async def insert_redemption(
    connection: Connection, account_id: str, grant_id: str, redeemable: Redeemable
) -> Grant | None:
    """None if the account has redeemed this code before."""
    row = await rows.one(
        connection,
        SQL["insert_redemption"],
        grant_id=grant_id,
        promo_code_id=redeemable.id,
        account_id=account_id,
        amount_nano=redeemable.amount_nano,
        expires_at=redeemable.expires_at,
    )
    return Grant(**row) if row else None


async def count_redemption(connection: Connection, promo_code_id: str) -> bool:
    """False if the code is used up."""
    return await rows.one(connection, SQL["count_redemption"], promo_code_id=promo_code_id) is not None
