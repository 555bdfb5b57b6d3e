"""Use cases of API keys, one function each. Each is one transaction.

Each locks the organization first, then a key, then a project, so that there are no deadlocks. A change that affects all
keys of an organization or a project takes the organization's exclusive lock.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from tollgate_accounts.access.permissions import Member
from tollgate_accounts.access.roles import Role
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor, Detail
from tollgate_accounts.keys import problems, records, store
from tollgate_accounts.keys.store import ApiKey, Budgets, KeySettings
from tollgate_accounts.mails import store as mails
from tollgate_accounts.mails.kinds import MailKind
from tollgate_common.auth import api_key as apikey
from tollgate_common.clock import utc_now
from tollgate_common.ids import new_id
from tollgate_common.postgres import outbox
from tollgate_common.postgres.connection import Connection, Pool
from tollgate_common.topics import Topic

# Budgets bound what developers may spend, so developers do not set them.
SET_BUDGETS = (Role.OWNER, Role.ADMIN)


class NewKey(NamedTuple):
    """A key and its text, which is stored nowhere."""

    key: ApiKey
    text: str


async def create_key(pool: Pool, caller: Member, settings: KeySettings) -> NewKey:
    """Create a key.

    Raises:
        Problem: the organization has no such project.
    """
    async with pool.connection() as connection:
        return await _create(connection, caller, settings, replaces=None)


async def list_keys(pool: Pool, account_id: str, project_id: str | None, after: str | None, limit: int) -> list[ApiKey]:
    """Return a page of keys, newest first, starting after the key `after`."""
    async with pool.connection() as connection:
        return await store.list_keys(connection, account_id, project_id, after, limit)


async def find_key(pool: Pool, account_id: str, key_id: str) -> ApiKey:
    """Return one key.

    Raises:
        Problem: the organization has no such key.
    """
    async with pool.connection() as connection:
        key = await store.find_key(connection, account_id, key_id)
    if key is None:
        raise problems.key_not_found()
    return key


async def change_key(pool: Pool, caller: Member, key_id: str, changes: Mapping[str, Any]) -> ApiKey:
    """Change some of a key's settings.

    Raises:
        Problem: the organization has no such key or project, the key is revoked, or the caller's role may not loosen
            the budget that the change would loosen.
    """
    async with pool.connection() as connection:
        is_suspended = await store.share_account(connection, caller.account_id)
        key = await _lock_live(connection, caller.account_id, key_id)
        settings = _settings(key)._replace(**changes)
        if caller.role not in SET_BUDGETS:
            await _guard_budgets(connection, caller.account_id, key, settings)
        project_budgets = await _project_budgets(connection, caller.account_id, settings.project_id)
        changed = await store.update_key(connection, caller.account_id, key_id, settings)
        await outbox.add(
            connection, records.message(caller.account_id, changed, project_budgets, is_suspended=is_suspended)
        )
        await _record(connection, caller.actor, caller.account_id, "key.changed", key_id, changed=sorted(changes))
    return changed


async def _guard_budgets(connection: Connection, account_id: str, key: ApiKey, settings: KeySettings) -> None:
    """Reject a change that lets the key spend more than its own budgets or its project's budgets allow."""
    leaves = key.project_id if key.project_id != settings.project_id else None
    if leaves is not None and await store.share_project(connection, account_id, leaves):
        raise problems.budget_not_in_account("project_id")
    allowed = {budget["period"]: budget["amount_nano"] for budget in settings.budgets}
    if any(allowed.get(budget["period"], math.inf) > budget["amount_nano"] for budget in key.budgets):
        raise problems.budget_not_in_account("budgets")


async def rotate_key(pool: Pool, caller: Member, key_id: str, overlap: timedelta) -> NewKey:
    """Create a key that replaces another. The old key works for `overlap` longer, but not beyond its own expiry.

    Raises:
        Problem: the organization has no such key, or it is revoked.
    """
    async with pool.connection() as connection:
        is_suspended = await store.share_account(connection, caller.account_id)
        old = await _lock_live(connection, caller.account_id, key_id)
        new = await _create(connection, caller, _settings(old), replaces=old)
        if not overlap:
            await _revoke(connection, caller.actor, caller.account_id, old)
            return new
        ends_at = utc_now() + overlap
        if old.expires_at is None or old.expires_at > ends_at:
            project_budgets = await _project_budgets(connection, caller.account_id, old.project_id)
            settings = _settings(old)._replace(expires_at=ends_at)
            ending = await store.update_key(connection, caller.account_id, old.id, settings)
            await outbox.add(
                connection, records.message(caller.account_id, ending, project_budgets, is_suspended=is_suspended)
            )
        details: dict[str, Detail] = {"replaced_by": new.key.id, "overlap_s": int(overlap.total_seconds())}
        await _record(connection, caller.actor, caller.account_id, "key.rotated", old.id, **details)
    return new


async def revoke_key(pool: Pool, caller: Member, key_id: str) -> None:
    """Revoke a key permanently. Revoking it again has no effect.

    Raises:
        Problem: the organization has no such key.
    """
    async with pool.connection() as connection:
        key = await store.lock_key(connection, caller.account_id, key_id)
        if key is None:
            raise problems.key_not_found()
        if key.revoked_at is None:
            await _revoke(connection, caller.actor, caller.account_id, key)


async def revoke_all(connection: Connection, actor: Actor, account_id: str) -> None:
    """Revoke every key of an organization permanently, in the caller's transaction."""
    await store.lock_account(connection, account_id)
    for key in await store.lock_keys(connection, account_id, None):
        await _revoke(connection, actor, account_id, key)


async def report_leaked(pool: Pool, text: str, address: str) -> None:
    """Revoke a leaked key and mail the organization's owners and admins. The reporter does not learn whether it
    existed."""
    if not apikey.is_well_formed(text):
        return
    key_hash = apikey.hash_key(text)
    async with pool.connection() as connection:
        leaked = await store.revoke_leaked_key(connection, key_hash)
        if leaked is None:
            return
        await outbox.add(connection, outbox.Message(Topic.KEYS, key_hash, leaked.version, None))
        await _record(connection, Actor("anonymous", "", address), leaked.account_id, "key.leaked", leaked.id)
        for email in await store.list_admin_emails(connection, leaked.account_id):
            await mails.add(connection, MailKind.KEY_LEAKED, email, {"name": leaked.name, "hint": leaked.hint})


async def _create(connection: Connection, caller: Member, settings: KeySettings, *, replaces: ApiKey | None) -> NewKey:
    is_suspended = await store.share_account(connection, caller.account_id)
    project_budgets = await _project_budgets(connection, caller.account_id, settings.project_id)
    text, key_hash, hint = apikey.generate()
    key_id = new_id()
    key = await store.insert_key(
        connection,
        caller.account_id,
        settings,
        key_id=key_id,
        key_hash=key_hash,
        hint=hint,
        replaces=replaces.id if replaces else None,
        first_id=replaces.first_id if replaces else key_id,
        created_by=caller.person_id,
    )
    await outbox.add(connection, records.message(caller.account_id, key, project_budgets, is_suspended=is_suspended))
    await _record(connection, caller.actor, caller.account_id, "key.created", key.id, name=key.name, hint=key.hint)
    return NewKey(key, text)


async def _project_budgets(connection: Connection, account_id: str, project_id: str | None) -> Budgets:
    """Return the project's budgets, which cannot change until the transaction ends."""
    if project_id is None:
        return []
    budgets = await store.share_project(connection, account_id, project_id)
    if budgets is None:
        raise problems.project_not_found()
    return budgets


async def _lock_live(connection: Connection, account_id: str, key_id: str) -> ApiKey:
    key = await store.lock_key(connection, account_id, key_id)
    if key is None:
        raise problems.key_not_found()
    if key.revoked_at is not None:
        raise problems.key_revoked()
    return key


async def _revoke(connection: Connection, actor: Actor, account_id: str, key: ApiKey) -> None:
    version = await store.revoke_key(connection, account_id, key.id)
    await outbox.add(connection, outbox.Message(Topic.KEYS, key.key_hash, version, None))
    await _record(connection, actor, account_id, "key.revoked", key.id)


async def _record(
    connection: Connection, actor: Actor, account_id: str, action: str, key_id: str, **details: Detail
) -> None:
    await audit.record(connection, actor, action, ("key", key_id), account_id=account_id, details=details)


def _settings(key: ApiKey) -> KeySettings:
    return KeySettings(**{name: getattr(key, name) for name in KeySettings._fields})
