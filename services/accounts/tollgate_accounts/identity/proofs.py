"""The use cases of e-mail verification and of passwords, one function each; each is one transaction, unless it says why
not.
"""

from tollgate_accounts.access import limits
from tollgate_accounts.access.permissions import Person, token_hash
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.emails import fold
from tollgate_accounts.identity import problems, store
from tollgate_accounts.identity.handlers import Entrance
from tollgate_accounts.identity.store import Verified
from tollgate_accounts.keys import handlers as keys
from tollgate_accounts.mails import store as mails
from tollgate_accounts.mails.kinds import MailKind
from tollgate_accounts.organizations import members
from tollgate_accounts.promo import handlers as promo
from tollgate_accounts.promo.store import Grant
from tollgate_common.errors import Problem
from tollgate_common.postgres.connection import Connection

# What a mail's token is for.
VERIFY, RESET = "verify_email", "reset_password"


async def ask_for_mail(entrance: Entrance, kind: MailKind, email: str, address: str) -> None:
    """Let a mail with a token go to an e-mail, if somebody has it: who asks does not learn whether.

    Raises:
        Problem: too many attempts.
    """
    rules = entrance.rules
    await limits.count(
        entrance.pool, rules, [(rules.limits.mail_email, fold(email))], (rules.limits.mail_address, address)
    )
    async with entrance.pool.connection() as connection:
        await mails.add(connection, kind, email)


async def verify_email(entrance: Entrance, token: str, password: str, address: str) -> tuple[str, Grant | None]:
    """Take the token of a mail and the password of the sign-up; the e-mail that the token proves, and the credit of the
    sign-up's promo code. Three steps, because no connection is held while the password is hashed.

    The token shows that its mail was read, the password that its reader is who signed up: a stranger's sign-up with
    their e-mail is not theirs to confirm. With another password the token still works, here and for a new password.

    Raises:
        Problem: too many attempts, the token does not work, or the account was made with another password.
    """
    await limits.count(entrance.pool, entrance.rules, [], (entrance.rules.limits.token_address, address))
    async with entrance.pool.connection() as connection:
        password_hash = await store.find_token_password(connection, token_hash(token), VERIFY)
    if password_hash is None:
        raise problems.token_invalid()
    if not await entrance.passwords.fits(password, password_hash):
        raise problems.sign_up_password_wrong()
    async with entrance.pool.connection() as connection:
        person_id = await _take(connection, token, VERIFY)
        verified, grant = await _mark_verified(connection, Actor("person", person_id, address))
    return verified.email, grant


async def reset_password(entrance: Entrance, token: str, password: str, address: str) -> None:
    """Take the token of a mail and a new password; whoever was signed in is out. Two steps, because no connection is
    held while the password is hashed. The mail was read, so the e-mail is verified too.

    Until then anybody may have signed up with it: if this verifies it for the first time, nothing that gave access to
    the person's organizations before gives it any more.

    Raises:
        Problem: too many attempts, or the token does not work.
    """
    await limits.count(entrance.pool, entrance.rules, [], (entrance.rules.limits.token_address, address))
    password_hash = await entrance.passwords.hash(password)
    async with entrance.pool.connection() as connection:
        person_id = await _take(connection, token, RESET, VERIFY)
        actor = Actor("person", person_id, address)
        verified, _ = await _mark_verified(connection, actor)
        await _change_password(connection, actor, password_hash, kept_session=None)
        if verified.is_first:
            for account_id in await members.reclaim(connection, actor):
                await keys.revoke_all(connection, actor, account_id)


async def change_password(entrance: Entrance, caller: Person, current: str, password: str) -> None:
    """Three steps, because no connection is held while passwords are hashed. Attempts count as those to sign in do:
    a stolen session must not be a place to guess the password at.

    Raises:
        Problem: too many attempts, or the current password is wrong.
    """
    rules = entrance.rules
    email = fold(caller.email)
    tries = [
        (rules.limits.sign_in, f"{email} {limits.subject_of(caller.address)}"),
        (rules.limits.sign_in_email, email),
    ]
    await limits.count(entrance.pool, rules, tries, (rules.limits.sign_in_address, caller.address))
    async with entrance.pool.connection() as connection:
        current_hash = await store.find_password(connection, caller.person_id)
    if not await entrance.passwords.fits(current, current_hash):
        raise problems.password_wrong()
    password_hash = await entrance.passwords.hash(password)
    async with entrance.pool.connection() as connection:
        await _change_password(connection, caller.actor, password_hash, kept_session=caller.session_id)


async def _take(connection: Connection, token: str, *purposes: str) -> str:
    person_id = await store.take_token(connection, token_hash(token), purposes)
    if person_id is None:
        raise problems.token_invalid()
    for purpose in purposes:
        await store.purge_tokens(connection, person_id, purpose)
    return person_id


async def _mark_verified(connection: Connection, actor: Actor) -> tuple[Verified, Grant | None]:
    verified = await store.verify_email(connection, actor.id)
    await audit.record(connection, actor, "person.email_verified", ("person", actor.id), account_id=None)
    account_id = await store.first_organization(connection, actor.id)
    if verified.promo_code is None or account_id is None:
        return verified, None
    try:
        async with connection.transaction():
            grant = await promo.redeem_within(connection, actor, account_id, verified.promo_code, field="promo_code")
    except Problem:
        # It was valid at the sign-up and is not any more; that is no reason not to let the person in.
        return verified, None
    return verified, grant


async def _change_password(
    connection: Connection, actor: Actor, password_hash: str, *, kept_session: str | None
) -> None:
    email = await store.set_password(connection, actor.id, password_hash)
    await store.delete_other_sessions(connection, actor.id, kept_session)
    await store.purge_tokens(connection, actor.id, RESET)
    await audit.record(connection, actor, "person.password_changed", ("person", actor.id), account_id=None)
    await mails.add(connection, MailKind.PASSWORD_CHANGED, email, {"address": actor.address})
