"""The use cases of API keys, one function each; each is one transaction.

Each locks the organization first, then a key, then a project, so that none waits for another in a circle; whoever
changes what all keys of an organization or of a project carry locks the organization for itself alone.
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

# Who decides what may be spent; developers, who make keys and spend, do not.
SET_BUDGETS = (Role.OWNER, Role.ADMIN)


class NewKey(NamedTuple):
    """A key, and its text, which is nowhere else."""

    key: ApiKey
    text: str


async def create_key(pool: Pool, caller: Member, settings: KeySettings) -> NewKey:
    """Make a key.

    Raises:
        Problem: the organization has no such project.
    """
    async with pool.connection() as connection:
        return await _create(connection, caller, settings, replaces=None)


async def list_keys(pool: Pool, account_id: str, project_id: str | None, after: str | None, limit: int) -> list[ApiKey]:
    """Newest first, from behind the key `after`."""
    async with pool.connection() as connection:
        return await store.list_keys(connection, account_id, project_id, after, limit)


async def find_key(pool: Pool, account_id: str, key_id: str) -> ApiKey:
    """One key.

    Raises:
        Problem: the organization has no such key.
    """
    async with pool.connection() as connection:
        key = await store.find_key(connection, account_id, key_id)
    if key is None:
        raise problems.key_not_found()
    return key


async def change_key(pool: Pool, caller: Member, key_id: str, changes: Mapping[str, Any]) -> ApiKey:
    """Give some of a key's settings other values.

    Raises:
        Problem: the organization has no such key or project, the key has ended, or the caller would spend beyond a
            budget that is not theirs to set.
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
        await _audit(connection, caller.actor, caller.account_id, "key.changed", key_id, changed=sorted(changes))
    return changed


async def _guard_budgets(connection: Connection, account_id: str, key: ApiKey, settings: KeySettings) -> None:
    """Refuse what lets a key spend more than its own budgets allow, or than those of the project that it is in."""
    leaves = key.project_id if key.project_id != settings.project_id else None
    if leaves is not None and await store.share_project(connection, account_id, leaves):
        raise problems.budget_not_yours("project_id")
    allowed = {budget["period"]: budget["amount_nano"] for budget in settings.budgets}
    if any(allowed.get(budget["period"], math.inf) > budget["amount_nano"] for budget in key.budgets):
        raise problems.budget_not_yours("budgets")


async def rotate_key(pool: Pool, caller: Member, key_id: str, overlap: timedelta) -> NewKey:
    """Make a key that takes another's place; the old one works for `overlap` longer, and no longer than before.

    Raises:
        Problem: the organization has no such key, or it has ended.
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
        await _audit(connection, caller.actor, caller.account_id, "key.rotated", old.id, **details)
    return new


async def revoke_key(pool: Pool, caller: Member, key_id: str) -> None:
    """End a key for ever; nothing happens if it has ended before.

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
    """End every key of an organization for ever, in the caller's transaction."""
    await store.lock_account(connection, account_id)
    for key in await store.lock_keys(connection, account_id, None):
        await _revoke(connection, actor, account_id, key)


async def report_leaked(pool: Pool, text: str, address: str) -> None:
    """End the key that somebody found, and tell its owners. Who reports does not learn whether it was one."""
    if not apikey.is_well_formed(text):
        return
    key_hash = apikey.hash_key(text)
    async with pool.connection() as connection:
        leaked = await store.revoke_leaked_key(connection, key_hash)
        if leaked is None:
            return
        await outbox.add(connection, outbox.Message(Topic.KEYS, key_hash, leaked.version, None))
        await _audit(connection, Actor("anonymous", "", address), leaked.account_id, "key.leaked", leaked.id)
        for email in await store.list_guardians(connection, leaked.account_id):
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
    await _audit(connection, caller.actor, caller.account_id, "key.created", key.id, name=key.name, hint=key.hint)
    return NewKey(key, text)


async def _project_budgets(connection: Connection, account_id: str, project_id: str | None) -> Budgets:
    """What the project allows, which stays so until the transaction ends."""
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
    await _audit(connection, actor, account_id, "key.revoked", key.id)


async def _audit(
    connection: Connection, actor: Actor, account_id: str, action: str, key_id: str, **details: Detail
) -> None:
    await audit.record(connection, actor, action, ("key", key_id), account_id=account_id, details=details)


def _settings(key: ApiKey) -> KeySettings:
    return KeySettings(**{name: getattr(key, name) for name in KeySettings._fields})
