"""The use cases of API keys, one function each; each is one transaction."""

from datetime import UTC, datetime

from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.keys import problems, store
from tollgate_accounts.keys.store import ApiKey
from tollgate_common import apikey, outbox
from tollgate_common.events import KeyRecord, encode
from tollgate_common.ids import new_id
from tollgate_common.postgres import Pool
from tollgate_common.topics import Topic

# Every account is on this plan.
STANDARD_PLAN = "standard"


async def create_key(
    pool: Pool, actor: Actor, account_id: str, *, name: str, expires_at: datetime | None, models: list[str] | None
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
        details = {"name": key.name, "hint": key.hint}
        await audit.record(connection, actor, "key.created", ("key", key.id), account_id=account_id, details=details)
    return key, text


async def list_keys(pool: Pool, account_id: str, after: str | None, limit: int) -> list[ApiKey]:
    """Newest first, from behind the key `after`."""
    async with pool.connection() as connection:
        return await store.list_keys(connection, account_id, after, limit)


async def revoke_key(pool: Pool, actor: Actor, account_id: str, key_id: str) -> None:
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
        await audit.record(connection, actor, "key.revoked", ("key", key_id), account_id=account_id)


def _utc(at: datetime | None) -> datetime | None:
    # PostgreSQL gives times in its session's time zone.
    return at.astimezone(UTC) if at is not None else None
