"""The use cases of operators, one function each; what changes something is in one transaction with its audit entry."""

from tollgate_accounts import emails
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.keys import records
from tollgate_accounts.operators import problems, store
from tollgate_accounts.operators.store import Account, EntryRow, KeyRow, MemberRow, OperatorRow
from tollgate_accounts.payments import handlers as payments
from tollgate_accounts.payments.store import Payment
from tollgate_common.postgres.connection import Connection, Pool

# How much of a key its owner still sees: more of it finds nothing more.
PREFIX_LENGTH = 7


async def find_accounts(
    pool: Pool, *, account_id: str | None, email: str | None, key_id: str | None, key_prefix: str | None
) -> list[Account]:
    """Accounts by exactly one of these.

    Raises:
        Problem: none was named, or more than one.
    """
    async with pool.connection() as connection:
        match (account_id, email, key_id, key_prefix):
            case (str(), None, None, None):
                return await store.find_by_id(connection, account_id)
            case (None, str(), None, None):
                return await store.find_by_email(connection, emails.fold(email))
            case (None, None, str(), None):
                return await store.find_by_key_id(connection, key_id)
            case (None, None, None, str()):
                return await store.find_by_key_prefix(connection, key_prefix[:PREFIX_LENGTH])
    raise problems.search_unclear()


async def read_account(pool: Pool, account_id: str) -> tuple[Account, list[MemberRow]]:
    """An account and who belongs to it.

    Raises:
        Problem: there is none of that id.
    """
    async with pool.connection() as connection:
        account = await _found(connection, account_id)
        return account, await store.list_members(connection, account_id)


async def list_keys(pool: Pool, account_id: str, after: str | None, limit: int) -> list[KeyRow]:
    """Newest first.

    Raises:
        Problem: there is no such account.
    """
    async with pool.connection() as connection:
        await _found(connection, account_id)
        return await store.list_keys(connection, account_id, after, limit)


async def give_credit(
    pool: Pool, actor: Actor, *, account_id: str, amount_nano: int, currency: str, reason: str, reference: str | None
) -> Payment:
    """Credit with a reason.

    Raises:
        Problem: there is no such account, the currency is another, or a credit of this reference was given with other
            values.
    """
    payments.check_currency(currency)
    async with pool.connection() as connection:
        await _found(connection, account_id)
    return await payments.give(
        pool, actor, account_id=account_id, amount_nano=amount_nano, reason=reason, reference=reference
    )


async def adjust_credit(
    pool: Pool, actor: Actor, *, account_id: str, amount_nano: int, currency: str, reason: str
) -> str:
    """A correction, up or down, with a reason; its id.

    Raises:
        Problem: there is no such account, the currency is another, or the amount is zero.
    """
    payments.check_currency(currency)
    if amount_nano == 0:
        raise problems.amount_is_zero()
    async with pool.connection() as connection:
        await _found(connection, account_id)
    return await payments.adjust(pool, actor, account_id=account_id, amount_nano=amount_nano, reason=reason)


async def suspend(pool: Pool, actor: Actor, account_id: str, reason: str) -> Account:
    """Stop an account: every edge refuses its keys from now on. Nothing happens if it is suspended already.

    Raises:
        Problem: there is no such account.
    """
    async with pool.connection() as connection:
        await _found(connection, account_id)
        if await store.suspend(connection, account_id):
            await records.publish_all(connection, account_id, is_suspended=True)
            await _record(connection, actor, "organisation.suspended", account_id, reason)
        return await _found(connection, account_id)


async def resume(pool: Pool, actor: Actor, account_id: str, reason: str) -> Account:
    """Let an account go on. Nothing happens if it is not suspended.

    Raises:
        Problem: there is no such account.
    """
    async with pool.connection() as connection:
        await _found(connection, account_id)
        if await store.resume(connection, account_id):
            await records.publish_all(connection, account_id, is_suspended=False)
            await _record(connection, actor, "organisation.resumed", account_id, reason)
        return await _found(connection, account_id)


async def list_entries(pool: Pool, account_id: str | None, after: str | None, limit: int) -> list[EntryRow]:
    """The audit log of one organization or of all, newest first."""
    async with pool.connection() as connection:
        return await store.list_entries(connection, account_id, after, limit)


async def list_operators(pool: Pool) -> list[OperatorRow]:
    async with pool.connection() as connection:
        return await store.list_operators(connection)


async def grant(connection: Connection, actor: Actor, email: str) -> str:
    """Make a person an operator, in the caller's transaction; nothing happens if they are one. Their id.

    Raises:
        Problem: nobody has signed up with this e-mail and confirmed it.
    """
    person_id = await store.find_person(connection, emails.fold(email))
    if person_id is None:
        raise problems.person_not_found()
    if await store.add_operator(connection, person_id):
        await audit.record(
            connection,
            actor,
            "operator.granted",
            ("person", person_id),
            account_id=None,
            details={"email": email},
        )
    return person_id


async def revoke(pool: Pool, actor: Actor, person_id: str) -> None:
    """Make an operator one no longer, from their next call on.

    Raises:
        Problem: the person is none.
    """
    async with pool.connection() as connection:
        if not await store.delete_operator(connection, person_id):
            raise problems.operator_not_found()
        await audit.record(connection, actor, "operator.revoked", ("person", person_id), account_id=None)


async def _found(connection: Connection, account_id: str) -> Account:
    found = await store.find_by_id(connection, account_id)
    if not found:
        raise problems.account_not_found()
    return found[0]


async def _record(connection: Connection, actor: Actor, action: str, account_id: str, reason: str) -> None:
    await audit.record(
        connection,
        actor,
        action,
        ("organisation", account_id),
        account_id=account_id,
        details={"reason": reason},
    )
