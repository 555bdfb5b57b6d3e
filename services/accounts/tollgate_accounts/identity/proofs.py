"""Use cases of e-mail verification and of password changes, one function each.

Each is one transaction unless its docstring says otherwise.
"""

from tollgate_accounts.access import limits
from tollgate_accounts.access.permissions import Person, token_hash
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.emails import fold
from tollgate_accounts.identity import problems, store
from tollgate_accounts.identity.handlers import IdentityContext
from tollgate_accounts.identity.store import Verified
from tollgate_accounts.keys import handlers as keys
from tollgate_accounts.mails import store as mails
from tollgate_accounts.mails.kinds import MailKind
from tollgate_accounts.organizations import members
from tollgate_accounts.promo import handlers as promo
from tollgate_accounts.promo.store import Grant
from tollgate_common.errors import Problem
from tollgate_common.postgres.connection import Connection

# The purposes of mail tokens.
VERIFY, RESET = "verify_email", "reset_password"


async def request_mail(context: IdentityContext, kind: MailKind, email: str, address: str) -> None:
    """Queue a mail with a token if a person has this address. The caller does not learn whether one does.

    Raises:
        Problem: there were too many attempts.
    """
    rules = context.rules
    await limits.count_attempt(
        context.pool, rules, [(rules.limits.mail_email, fold(email))], (rules.limits.mail_address, address)
    )
    async with context.pool.connection() as connection:
        await mails.add(connection, kind, email)


async def verify_email(context: IdentityContext, token: str, password: str, address: str) -> tuple[str, Grant | None]:
    """Verify an e-mail address with a mail's token and the sign-up's password.

    Returns the address and the credit of the sign-up's promo code. Three steps, because no connection is held while the
    password is hashed.

    The token proves that the mail was read. The password proves that its reader signed up, so that nobody confirms a
    stranger's sign-up with their address. After a wrong password the token still works, here and for a password reset.

    Raises:
        Problem: there were too many attempts, the token is invalid, or the password is not the sign-up's.
    """
    await limits.count_attempt(context.pool, context.rules, [], (context.rules.limits.token_address, address))
    async with context.pool.connection() as connection:
        password_hash = await store.find_token_password(connection, token_hash(token), VERIFY)
    if password_hash is None:
        raise problems.invalid_token()
    if not await context.passwords.verify(password, password_hash):
        raise problems.invalid_sign_up_password()
    async with context.pool.connection() as connection:
        person_id = await _take(connection, token, VERIFY)
        verified, grant = await _mark_verified(connection, Actor("person", person_id, address))
    return verified.email, grant


async def reset_password(context: IdentityContext, token: str, password: str, address: str) -> None:
    """Set a new password with a mail's token and end every session of the person.

    Two steps, because no connection is held while the password is hashed. The token also verifies the address. If this
    is the first verification, a stranger may have signed up with the address: all previous access to the person's
    organizations is revoked (API keys, other members, invitations).

    Raises:
        Problem: there were too many attempts, or the token is invalid.
    """
    await limits.count_attempt(context.pool, context.rules, [], (context.rules.limits.token_address, address))
    password_hash = await context.passwords.hash(password)
    async with context.pool.connection() as connection:
        person_id = await _take(connection, token, RESET, VERIFY)
        actor = Actor("person", person_id, address)
        verified, _ = await _mark_verified(connection, actor)
        await _change_password(connection, actor, password_hash, kept_session=None)
        if verified.is_first:
            for account_id in await members.reclaim(connection, actor):
                await keys.revoke_all(connection, actor, account_id)


async def change_password(context: IdentityContext, caller: Person, current: str, password: str) -> None:
    """Change the password of a signed-in person.

    Three steps, because no connection is held while passwords are hashed. Attempts count like sign-in attempts, so that
    a stolen session cannot be used to guess the password.

    Raises:
        Problem: there were too many attempts, or the current password is wrong.
    """
    rules = context.rules
    email = fold(caller.email)
    tries = [
        (rules.limits.sign_in, f"{email} {limits.subject_of(caller.address)}"),
        (rules.limits.sign_in_email, email),
    ]
    await limits.count_attempt(context.pool, rules, tries, (rules.limits.sign_in_address, caller.address))
    async with context.pool.connection() as connection:
        current_hash = await store.find_password(connection, caller.person_id)
    if not await context.passwords.verify(current, current_hash):
        raise problems.invalid_password()
    password_hash = await context.passwords.hash(password)
    async with context.pool.connection() as connection:
        await _change_password(connection, caller.actor, password_hash, kept_session=caller.session_id)


async def _take(connection: Connection, token: str, *purposes: str) -> str:
    person_id = await store.take_token(connection, token_hash(token), purposes)
    if person_id is None:
        raise problems.invalid_token()
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
        # The code was valid at sign-up and no longer is. That must not prevent the verification.
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
