"""The use cases of who someone is, one function each; each is one transaction, unless it says why not."""

import math
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_accounts.access.permissions import SESSION_PREFIX, token_hash
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.identity import problems, store
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.organisations import handlers as organisations
from tollgate_accounts.promo import handlers as promo
from tollgate_common.ids import new_id
from tollgate_common.postgres import Pool

SESSION_LIFETIME = timedelta(days=7)
SIGN_IN_ATTEMPTS = 10
SIGN_IN_WINDOW = timedelta(minutes=15)


class NewSession(NamedTuple):
    token: str
    expires_at: datetime


async def sign_up(
    pool: Pool, passwords: Passwords, *, email: str, password: str, promo_code: str | None, address: str
) -> str:
    """Make a person and their organisation, with the credit of a promo code if there is one: all or nothing.

    A taken e-mail is told as such. That lets a stranger ask whether an e-mail has an account; to close this takes an
    answer by mail instead, and so waits for e-mails to be verified.

    Raises:
        Problem: the e-mail is taken, or the promo code cannot be redeemed.
    """
    password_hash = await passwords.hash(password)
    person_id = new_id()
    actor = Actor("person", person_id, address)
    async with pool.connection() as connection:
        if not await store.insert_person(connection, person_id, email, password_hash):
            raise problems.email_taken()
        account_id = await organisations.create_within(connection, actor, person_id, email)
        if promo_code is not None:
            await promo.redeem_within(connection, actor, account_id, promo_code, field="promo_code")
    return account_id


async def sign_in(
    pool: Pool, passwords: Passwords, *, email: str, password: str, address: str, user_agent: str
) -> NewSession:
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
        await store.delete_expired_sessions(connection, credentials.person_id)
        expires_at = await store.insert_session(
            connection,
            session_id=new_id(),
            person_id=credentials.person_id,
            token_hash=token_hash(token),
            user_agent=user_agent,
            address=address,
            lifetime=SESSION_LIFETIME,
        )
    return NewSession(token, expires_at)


async def sign_out(pool: Pool, person_id: str, session_id: str) -> None:
    async with pool.connection() as connection:
        await store.delete_session(connection, person_id, session_id)
