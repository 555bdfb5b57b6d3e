"""Use cases of sign-up and sign-in, one function each. Each is one transaction unless its docstring says otherwise."""

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


class IdentityContext:
    """The dependencies of these use cases."""

    def __init__(self, pool: Pool, passwords: Passwords, rules: Rules) -> None:
        self.pool = pool
        self.passwords = passwords
        self.rules = rules


async def sign_up(context: IdentityContext, *, email: str, password: str, promo_code: str | None, address: str) -> None:
    """Create a person and their organization, with a promo code's credit if there is one, atomically.

    The result, the errors and the work are the same if the e-mail address is taken: the function then creates another
    person and rolls back. Only the mail to that address reveals that it is taken.

    Raises:
        Problem: there were too many attempts, or the promo code cannot be redeemed.
    """
    rules = context.rules
    await limits.count_attempt(
        context.pool, rules, [(rules.limits.sign_up_email, fold(email))], (rules.limits.sign_up_address, address)
    )
    password_hash = await context.passwords.hash(password)
    person_id = new_id()
    kept_code = promo_code if rules.email_must_be_verified else None
    async with context.pool.connection() as connection:
        is_new = await store.insert_person(
            connection, person_id=person_id, email=email, password_hash=password_hash, promo_code=kept_code
        )
        async with connection.transaction():
            if not is_new:
                await store.insert_person(
                    connection, person_id=person_id, email=person_id, password_hash=password_hash, promo_code=None
                )
            await _create_organization(connection, rules, Actor("person", person_id, address), email, promo_code)
            if not is_new:
                raise Rollback
        await mails.add(connection, MailKind.VERIFY_EMAIL if is_new else MailKind.ALREADY_REGISTERED, email)


async def _create_organization(
    connection: Connection, rules: Rules, actor: Actor, email: str, promo_code: str | None
) -> None:
    account_id = await organizations.create_within(connection, actor, actor.id, email)
    if promo_code is None:
        return
    async with connection.transaction():
        await promo.redeem_within(connection, actor, account_id, promo_code, field="promo_code")
        # This only checks that the code is redeemable. Verifying the e-mail address redeems it for good.
        if rules.email_must_be_verified:
            raise Rollback


async def sign_in(context: IdentityContext, *, email: str, password: str, address: str, user_agent: str) -> NewSession:
    """Create a session, in three steps: no connection is held while the password is hashed.

    The attempt is counted before the password is checked, whether or not the account exists, so concurrent guesses gain
    nothing. The right password resets the count of this e-mail address and client address.

    Raises:
        Problem: there were too many attempts, or the e-mail address and password are not those of a person who may sign
            in.
    """
    rules, pool = context.rules, context.pool
    pair = f"{fold(email)} {limits.subject_of(address)}"
    await limits.count_attempt(
        pool,
        rules,
        [(rules.limits.sign_in, pair), (rules.limits.sign_in_email, fold(email))],
        (rules.limits.sign_in_address, address),
    )
    async with pool.connection() as connection:
        credentials = await store.find_credentials(connection, email)
    verify = await context.passwords.verify(password, credentials.password_hash if credentials else None)
    if credentials is None or not verify or (rules.email_must_be_verified and not credentials.is_verified):
        raise problems.invalid_credentials()

    # Always create a new token, so that a client cannot choose the session it ends up in (session fixation).
    token = SESSION_PREFIX + secrets.token_urlsafe(32)
    session_id = new_id()
    async with pool.connection() as connection:
        await access_store.reset_attempts(connection, rules.limits.sign_in, pair)
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
    """End a session of the caller's: the current one or another.

    Raises:
        Problem: the person has no such session.
    """
    async with pool.connection() as connection:
        if not await store.delete_session(connection, caller.person_id, session_id):
            raise problems.session_not_found()
        await audit.record(connection, caller.actor, "session.ended", ("session", session_id), account_id=None)
