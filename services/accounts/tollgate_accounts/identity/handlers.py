"""The use cases of sign-up and sign-in, one function each; each is one transaction, unless it says why not."""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg import Rollback

from tollgate_accounts.access import limits
from tollgate_accounts.access import store as access_store
from tollgate_accounts.access.permissions import SESSION_PREFIX, Person, token_hash
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.emails import fold
from tollgate_accounts.identity import problems, store
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.identity.store import SessionOfPerson
from tollgate_accounts.mails import store as mails
from tollgate_accounts.mails.kinds import MailKind
from tollgate_accounts.organizations import handlers as organizations
from tollgate_accounts.promo import handlers as promo
from tollgate_accounts.rules import Rules
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection, Pool

SESSION_LIFETIME = timedelta(days=7)


class NewSession(NamedTuple):
    token: str
    expires_at: datetime


class Entrance:
    """What all of these use cases need."""

    def __init__(self, pool: Pool, passwords: Passwords, rules: Rules) -> None:
        self.pool = pool
        self.passwords = passwords
        self.rules = rules


async def sign_up(entrance: Entrance, *, email: str, password: str, promo_code: str | None, address: str) -> None:
    """Make a person and their organization, with the credit of a promo code if there is one: all or nothing.

    Whether the e-mail is taken shows neither in what this returns or raises nor in what it does meanwhile: with a taken
    one, somebody else is made and unmade. Only who reads that e-mail's mails learns of it.

    Raises:
        Problem: too many attempts, or the promo code cannot be redeemed.
    """
    rules = entrance.rules
    await limits.count(
        entrance.pool, rules, [(rules.limits.sign_up_email, fold(email))], (rules.limits.sign_up_address, address)
    )
    password_hash = await entrance.passwords.hash(password)
    person_id = new_id()
    kept_code = promo_code if rules.email_must_be_verified else None
    async with entrance.pool.connection() as connection:
        is_new = await store.insert_person(
            connection, person_id=person_id, email=email, password_hash=password_hash, promo_code=kept_code
        )
        async with connection.transaction():
            if not is_new:
                await store.insert_person(
                    connection, person_id=person_id, email=person_id, password_hash=password_hash, promo_code=None
                )
            await _found(connection, rules, Actor("person", person_id, address), email, promo_code)
            if not is_new:
                raise Rollback
        await mails.add(connection, MailKind.VERIFY_EMAIL if is_new else MailKind.ALREADY_REGISTERED, email)


async def _found(connection: Connection, rules: Rules, actor: Actor, email: str, promo_code: str | None) -> None:
    account_id = await organizations.create_within(connection, actor, actor.id, email)
    if promo_code is None:
        return
    async with connection.transaction():
        await promo.redeem_within(connection, actor, account_id, promo_code, field="promo_code")
        # Redeemed to see that it can be; for good when the e-mail is verified.
        if rules.email_must_be_verified:
            raise Rollback


async def sign_in(entrance: Entrance, *, email: str, password: str, address: str, user_agent: str) -> NewSession:
    """Open a session. Three steps, because no connection is held while the password is hashed.

    The attempt is counted before the password is looked at, whether the account exists or not: guesses sent all at once
    are not more than guesses sent one by one. The right password sets the count of this e-mail and address to zero.

    Raises:
        Problem: too many attempts, or nobody who may sign in has this e-mail and password.
    """
    rules, pool = entrance.rules, entrance.pool
    pair = f"{fold(email)} {limits.subject_of(address)}"
    await limits.count(
        pool,
        rules,
        [(rules.limits.sign_in, pair), (rules.limits.sign_in_email, fold(email))],
        (rules.limits.sign_in_address, address),
    )
    async with pool.connection() as connection:
        credentials = await store.find_credentials(connection, email)
    fits = await entrance.passwords.fits(password, credentials.password_hash if credentials else None)
    if credentials is None or not fits or (rules.email_must_be_verified and not credentials.is_verified):
        raise problems.credentials_wrong()

    # Always a new one: what a client brings along never becomes a session.
    token = SESSION_PREFIX + secrets.token_urlsafe(32)
    session_id = new_id()
    async with pool.connection() as connection:
        await access_store.forget_attempts(connection, rules.limits.sign_in, pair)
        await store.delete_expired_sessions(connection, credentials.person_id)
        expires_at = await store.insert_session(
            connection,
            session_id=session_id,
            person_id=credentials.person_id,
            token_hash=token_hash(token),
            user_agent=user_agent,
            address=address,
            lifetime=SESSION_LIFETIME,
        )
        actor = Actor("person", credentials.person_id, address)
        await audit.record(connection, actor, "session.opened", ("session", session_id), account_id=None)
    return NewSession(token, expires_at)


async def list_sessions(pool: Pool, person_id: str) -> list[SessionOfPerson]:
    async with pool.connection() as connection:
        return await store.list_sessions(connection, person_id)


async def end_session(pool: Pool, caller: Person, session_id: str) -> None:
    """Sign out, here or elsewhere.

    Raises:
        Problem: the person has no such session.
    """
    async with pool.connection() as connection:
        if not await store.delete_session(connection, caller.person_id, session_id):
            raise problems.session_not_found()
        await audit.record(connection, caller.actor, "session.ended", ("session", session_id), account_id=None)
