"""The use cases of promo codes, one function each; each is one transaction."""

from datetime import UTC, datetime

from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor, Detail
from tollgate_accounts.promo import problems, store
from tollgate_accounts.promo.store import Grant
from tollgate_common import outbox
from tollgate_common.events import CreditGranted, encode
from tollgate_common.ids import new_id
from tollgate_common.postgres import Connection, Pool
from tollgate_common.topics import Topic


async def redeem(pool: Pool, actor: Actor, account_id: str, code: str) -> Grant:
    """Turn a promo code into credit, once an account.

    Raises:
        Problem: the code is unknown, not valid now, used up, or was redeemed by this account before.
    """
    async with pool.connection() as connection:
        return await redeem_within(connection, actor, account_id, code, field="code")


async def redeem_within(connection: Connection, actor: Actor, account_id: str, code: str, *, field: str) -> Grant:
    """The same in the caller's transaction, which must end with it: it locks what everyone who redeems waits for."""
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
    details: dict[str, Detail] = {"code": code, "amount_nano": grant.amount_nano}
    await audit.record(
        connection, actor, "promo_code.redeemed", ("grant", grant.grant_id), account_id=account_id, details=details
    )
    if not await store.count_redemption(connection, redeemable.id):
        raise problems.promo_code_used_up(field)
    return grant


def _utc(at: datetime | None) -> datetime | None:
    # PostgreSQL gives times in its session's time zone.
    return at.astimezone(UTC) if at is not None else None
