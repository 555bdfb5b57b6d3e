"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.rows import DictRow

from tollgate_common.postgres import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts")


class Account(NamedTuple):
    id: str
    email: str
    created_at: datetime


class Credentials(NamedTuple):
    account_id: str
    password_hash: str


class Attempts(NamedTuple):
    """Attempts to sign in within a window of time, and when that ends."""

    attempts: int
    ends_in: timedelta


class ApiKey(NamedTuple):
    id: str
    name: str
    hint: str
    models: list[str] | None
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    version: int


class LockedKey(NamedTuple):
    key_hash: str
    revoked_at: datetime | None


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


def fold_email(email: str) -> str:
    """What is the same for two spellings of one e-mail. No provider in use tells capitals apart."""
    return email.lower()


async def insert_account(connection: Connection, account_id: str, email: str, password_hash: str) -> Account | None:
    """None if the e-mail is taken."""
    row = await _row(
        connection,
        "insert_account",
        id=account_id,
        email=email,
        email_folded=fold_email(email),
        password_hash=password_hash,
    )
    return Account(**row) if row else None


async def find_credentials(connection: Connection, email: str) -> Credentials | None:
    row = await _row(connection, "find_credentials", email_folded=fold_email(email))
    return Credentials(**row) if row else None


async def count_sign_in_attempt(connection: Connection, email: str, address: str, window: timedelta) -> Attempts:
    row = await _row(
        connection, "count_sign_in_attempt", email_folded=fold_email(email), address=address, window=window
    )
    assert row is not None, "an upsert returns its row"
    return Attempts(**row)


async def purge_sign_in_attempts(connection: Connection, window: timedelta) -> None:
    await connection.execute(SQL["purge_sign_in_attempts"], {"window": window})


async def forget_sign_in_attempts(connection: Connection, email: str, address: str) -> None:
    await connection.execute(SQL["forget_sign_in_attempts"], {"email_folded": fold_email(email), "address": address})


async def insert_session(connection: Connection, account_id: str, token_hash: str, lifetime: timedelta) -> datetime:
    """When the session will end."""
    row = await _row(connection, "insert_session", account_id=account_id, token_hash=token_hash, lifetime=lifetime)
    assert row is not None, "an insert returns its row"
    expires_at: datetime = row["expires_at"]
    return expires_at


async def delete_expired_sessions(connection: Connection, account_id: str) -> None:
    await connection.execute(SQL["delete_expired_sessions"], {"account_id": account_id})


async def delete_session(connection: Connection, account_id: str, token_hash: str) -> None:
    await connection.execute(SQL["delete_session"], {"account_id": account_id, "token_hash": token_hash})


async def find_session_account(connection: Connection, token_hash: str) -> Account | None:
    row = await _row(connection, "find_session_account", token_hash=token_hash)
    return Account(**row) if row else None


async def insert_key(
    connection: Connection,
    *,
    account_id: str,
    key_id: str,
    name: str,
    key_hash: str,
    hint: str,
    models: list[str] | None,
    expires_at: datetime | None,
) -> ApiKey:
    row = await _row(
        connection,
        "insert_key",
        id=key_id,
        account_id=account_id,
        name=name,
        key_hash=key_hash,
        hint=hint,
        models=models,
        expires_at=expires_at,
    )
    assert row is not None, "an insert returns its row"
    return ApiKey(**row)


async def list_keys(connection: Connection, account_id: str, after: str | None, limit: int) -> list[ApiKey]:
    """Newest first."""
    cursor = await connection.execute(SQL["list_keys"], {"account_id": account_id, "after": after, "limit": limit})
    return [ApiKey(**row) for row in await cursor.fetchall()]


async def lock_key(connection: Connection, account_id: str, key_id: str) -> LockedKey | None:
    row = await _row(connection, "lock_key", account_id=account_id, id=key_id)
    return LockedKey(**row) if row else None


async def revoke_key(connection: Connection, account_id: str, key_id: str) -> int:
    """The key's new version."""
    row = await _row(connection, "revoke_key", account_id=account_id, id=key_id)
    assert row is not None, "the row was locked before"
    return int(row["version"])


async def insert_promo_code(connection: Connection, promo_code_id: str, promo_code: PromoCode) -> None:
    """Does nothing if the code exists."""
    await connection.execute(SQL["insert_promo_code"], {"id": promo_code_id, **promo_code._asdict()})


async def find_promo_code(connection: Connection, code: str) -> PromoCode | None:
    row = await _row(connection, "find_promo_code", code=code)
    return PromoCode(**row) if row else None


async def find_redeemable(connection: Connection, code: str) -> Redeemable | None:
    row = await _row(connection, "find_redeemable", code=code)
    return Redeemable(**row) if row else None


async def next_credit_version(connection: Connection, account_id: str) -> int:
    row = await _row(connection, "next_credit_version", account_id=account_id)
    assert row is not None, "the session's account exists"
    return int(row["credit_version"])


async def insert_redemption(
    connection: Connection, account_id: str, grant_id: str, redeemable: Redeemable
) -> Grant | None:
    """None if the account has redeemed this code before."""
    row = await _row(
        connection,
        "insert_redemption",
        grant_id=grant_id,
        promo_code_id=redeemable.id,
        account_id=account_id,
        amount_nano=redeemable.amount_nano,
        expires_at=redeemable.expires_at,
    )
    return Grant(**row) if row else None


async def count_redemption(connection: Connection, promo_code_id: str) -> bool:
    """False if the code is used up."""
    return await _row(connection, "count_redemption", promo_code_id=promo_code_id) is not None


async def migrations_run(connection: Connection) -> set[str]:
    cursor = await connection.execute(SQL["migrations_run"])
    return {row["name"] for row in await cursor.fetchall()}


async def _row(connection: Connection, statement: str, **parameters: Any) -> DictRow | None:
    return await (await connection.execute(SQL[statement], parameters)).fetchone()
