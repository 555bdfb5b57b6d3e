"""The use cases, one function each; each is one transaction, unless it says why not."""

import hashlib
import math
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tollgate_accounts import problems, store
from tollgate_accounts.passwords import Passwords
from tollgate_accounts.store import Account, ApiKey, Grant
from tollgate_common import apikey, outbox
from tollgate_common.events import CreditGranted, KeyRecord, encode
from tollgate_common.ids import new_id
from tollgate_common.postgres import Connection, Pool
from tollgate_common.topics import Topic

SESSION_PREFIX = "tgs_"
SESSION_LIFETIME = timedelta(days=7)
SIGN_IN_ATTEMPTS = 10
SIGN_IN_WINDOW = timedelta(minutes=15)
# Every account is on this plan.
STANDARD_PLAN = "standard"


class NewSession(NamedTuple):
    token: str
    expires_at: datetime


async def sign_up(pool: Pool, passwords: Passwords, email: str, password: str, promo_code: str | None) -> Account:
    """Create an account, with the credit of a promo code if there is one: both or neither.

    A taken e-mail is told as such. That lets a stranger ask whether an e-mail has an account; to close this takes an
    answer by mail instead, and so waits for e-mails to be verified.

    Raises:
        Problem: the e-mail is taken, or the promo code cannot be redeemed.
    """
    password_hash = await passwords.hash(password)
    async with pool.connection() as connection:
        account = await store.insert_account(connection, new_id(), email, password_hash)
        if account is None:
            raise problems.email_taken()
        if promo_code is not None:
            await _redeem(connection, account.id, promo_code, field="promo_code")
    return account


async def sign_in(pool: Pool, passwords: Passwords, email: str, password: str, address: str) -> NewSession:
    """Open a session. Three steps, because no connection is held while the password is hashed.

    The attempt is counted before the password is looked at, by e-mail and address, whether the account exists or not:
    guesses sent all at once are not more than guesses sent one by one. The right password sets the count to zero.

    Raises:
        Problem: too many attempts, or no account has this e-mail and password.
    """
    async with pool.connection() as connection:
        attempts = await store.count_sign_in_attempt(connection, email, address, SIGN_IN_WINDOW)
        await store.purge_sign_in_attempts(connection, SIGN_IN_WINDOW)
        credentials = await store.find_credentials(connection, email)
    if attempts.attempts > SIGN_IN_ATTEMPTS:
        raise problems.too_many_attempts(math.ceil(attempts.ends_in.total_seconds()))

    fits = await passwords.fits(password, credentials.password_hash if credentials else None)
    if credentials is None or not fits:
        raise problems.credentials_wrong()

    token = SESSION_PREFIX + secrets.token_urlsafe(32)
    async with pool.connection() as connection:
        await store.forget_sign_in_attempts(connection, email, address)
        await store.delete_expired_sessions(connection, credentials.account_id)
        expires_at = await store.insert_session(
            connection, credentials.account_id, _token_hash(token), SESSION_LIFETIME
        )
    return NewSession(token, expires_at)


async def account_of_session(pool: Pool, token: str) -> Account:
    """Who calls.

    Raises:
        Problem: the token is no session's, or the session has ended.
    """
    if not token.startswith(SESSION_PREFIX):
        raise problems.session_invalid()
    async with pool.connection() as connection:
        account = await store.find_session_account(connection, _token_hash(token))
    if account is None:
        raise problems.session_invalid()
    return account


async def sign_out(pool: Pool, account_id: str, token: str) -> None:
    async with pool.connection() as connection:
        await store.delete_session(connection, account_id, _token_hash(token))


async def redeem(pool: Pool, account_id: str, code: str) -> Grant:
    """Turn a promo code into credit, once an account.

    Raises:
        Problem: the code is unknown, not valid now, used up, or was redeemed by this account before.
    """
    async with pool.connection() as connection:
        return await _redeem(connection, account_id, code, field="code")


async def create_key(
    pool: Pool, account_id: str, name: str, expires_at: datetime | None, models: list[str] | None
) -> tuple[ApiKey, str]:
    """A new key, and its text, which is nowhere else."""
    text, key_hash, hint = apikey.generate()
    async with pool.connection() as connection:
        key = await store.insert_key(
            connection,
            account_id=account_id,
            key_id=new_id(),
            name=name,
            key_hash=key_hash,
            hint=hint,
            models=models,
            expires_at=expires_at,
        )
        record = KeyRecord(
            key_id=key.id,
            account_id=account_id,
            name=key.name,
            plan=STANDARD_PLAN,
            expires_at=_utc(key.expires_at),
            models=tuple(key.models) if key.models is not None else None,
        )
        await outbox.add(connection, outbox.Message(Topic.KEYS, key_hash, key.version, encode(record)))
    return key, text


async def list_keys(pool: Pool, account_id: str, after: str | None, limit: int) -> list[ApiKey]:
    """Newest first, from behind the key `after`."""
    async with pool.connection() as connection:
        return await store.list_keys(connection, account_id, after, limit)


async def revoke_key(pool: Pool, account_id: str, key_id: str) -> None:
    """End a key for ever; nothing happens if it has ended before.

    Raises:
        Problem: the account has no such key.
    """
    async with pool.connection() as connection:
        key = await store.lock_key(connection, account_id, key_id)
        if key is None:
            raise problems.key_not_found()
        if key.revoked_at is not None:
            return
        version = await store.revoke_key(connection, account_id, key_id)
        await outbox.add(connection, outbox.Message(Topic.KEYS, key.key_hash, version, None))


async def _redeem(connection: Connection, account_id: str, code: str, field: str) -> Grant:
    redeemable = await store.find_redeemable(connection, code)
    if redeemable is None:
        raise problems.promo_code_unknown(field)
    if redeemable.is_early:
        raise problems.promo_code_not_started(field)
    if redeemable.is_over:
        raise problems.promo_code_over(field)
    version = await store.next_credit_version(connection, account_id)
    grant = await store.insert_redemption(connection, account_id, new_id(), redeemable)
    if grant is None:
        raise problems.promo_code_already_redeemed(field)
    event = CreditGranted(
        grant_id=grant.grant_id,
        account_id=account_id,
        at=grant.redeemed_at.astimezone(UTC),
        amount_nano=grant.amount_nano,
        source="promo",
        reason=code,
        expires_at=_utc(grant.expires_at),
    )
    await outbox.add(connection, outbox.Message(Topic.CREDITS, account_id, version, encode(event)))
    if not await store.count_redemption(connection, redeemable.id):
        raise problems.promo_code_used_up(field)
    return grant


def _token_hash(token: str) -> str:
    """A plain SHA-256: the token is as hard to guess as its 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _utc(at: datetime | None) -> datetime | None:
    # PostgreSQL gives times in its session's time zone.
    return at.astimezone(UTC) if at is not None else None
