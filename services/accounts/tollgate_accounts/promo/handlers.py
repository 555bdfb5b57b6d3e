"""Use cases of promo codes, one function each. Each is one transaction."""

import secrets
from datetime import UTC, datetime

from tollgate_accounts.access import store as access_store
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor, Detail
from tollgate_accounts.credit import store as credit
from tollgate_accounts.promo import problems, store
from tollgate_accounts.promo.store import Campaign, Grant, Terms, UsedCode
from tollgate_common.events import CreditGranted
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection, Pool

# Excludes letters and digits that are easily confused. 16 of 32 characters are 80 bits, too many to guess.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GROUPS, _GROUP_LENGTH = 4, 4


async def redeem(pool: Pool, actor: Actor, account_id: str, code: str) -> Grant:
    """Redeem a promo code for credit, once per account and once per person.

    Raises:
        Problem: the code does not exist, is not valid now or not for this account, is exhausted, or is already
            redeemed.
    """
    async with pool.connection() as connection:
        return await redeem_within(connection, actor, account_id, code, field="code")


async def redeem_within(connection: Connection, actor: Actor, account_id: str, code: str, *, field: str) -> Grant:
    """Redeem a code in the caller's transaction. Make this the last step: its locks block all other redemptions."""
    redeemable = await store.find_redeemable(connection, code)
    if redeemable is None:
        raise problems.promo_code_not_found(field)
    if redeemable.is_early:
        raise problems.promo_code_not_active(field)
    if redeemable.is_over:
        raise problems.promo_code_expired(field)
    person_id = actor.id if actor.kind == "person" else None
    # Lock order: the person, the account, then the code and its campaign.
    if person_id is not None:
        await access_store.lock_person(connection, person_id)
    version = await credit.next_version(connection, account_id)
    await store.lock_redeemable(connection, redeemable)
    grant = await store.insert_redemption(connection, account_id, person_id, new_id(), redeemable)
    if grant is None:
        raise problems.promo_code_already_redeemed(field)
    redeemed = await store.count_redemptions(connection, redeemable, account_id, person_id)
    if redeemed.of_person_and_code > 1:
        raise problems.promo_code_already_redeemed(field)
    if redeemable.for_new_only and (version > 1 or redeemed.elsewhere):
        raise problems.promo_code_new_accounts_only(field)
    if max(redeemed.of_account, redeemed.of_person) > redeemable.max_per_account:
        raise problems.promo_campaign_limit_reached(field)
    event = CreditGranted(
        grant_id=grant.grant_id,
        account_id=account_id,
        at=grant.redeemed_at.astimezone(UTC),
        amount_nano=grant.amount_nano,
        source="promo",
        reason=code,
        expires_at=_utc(grant.expires_at),
    )
    await credit.publish(connection, version, event)
    details: dict[str, Detail] = {"code": code, "amount_nano": grant.amount_nano}
    await audit.record(
        connection, actor, "promo_code.redeemed", ("grant", grant.grant_id), account_id=account_id, details=details
    )
    if not await store.use_up(connection, redeemable):
        raise problems.promo_code_exhausted(field)
    return grant


async def create_campaign(pool: Pool, actor: Actor, terms: Terms, code: str | None) -> Campaign:
    """Create a campaign, with one code for everybody if `code` is given.

    Raises:
        Problem: the name or the code exists.
    """
    campaign_id = new_id()
    async with pool.connection() as connection:
        if not await store.add_campaign(connection, campaign_id, terms):
            raise problems.campaign_exists()
        if code is not None and not await store.add_codes(connection, campaign_id, [code], None):
            raise problems.promo_code_exists()
        details: dict[str, Detail] = {"name": terms.name, "amount_nano": terms.amount_nano, "code": code}
        await audit.record(
            connection, actor, "campaign.created", ("campaign", campaign_id), account_id=None, details=details
        )
        return await _require_campaign(connection, campaign_id)


async def find_campaign(pool: Pool, campaign_id: str) -> Campaign:
    """Return one campaign.

    Raises:
        Problem: there is no such campaign.
    """
    async with pool.connection() as connection:
        return await _require_campaign(connection, campaign_id)


async def list_campaigns(pool: Pool, after: str | None, limit: int) -> list[Campaign]:
    """Return a page of campaigns, newest first, starting after the campaign `after`."""
    async with pool.connection() as connection:
        return await store.list_campaigns(connection, after, limit)


async def stop_campaign(pool: Pool, actor: Actor, campaign_id: str) -> Campaign:
    """Stop a campaign permanently. Stopping it again has no effect, and granted credit remains.

    Raises:
        Problem: there is no such campaign.
    """
    async with pool.connection() as connection:
        if await store.stop_campaign(connection, campaign_id):
            await audit.record(connection, actor, "campaign.stopped", ("campaign", campaign_id), account_id=None)
        return await _require_campaign(connection, campaign_id)


async def generate_codes(pool: Pool, actor: Actor, campaign_id: str, count: int) -> list[str]:
    """Generate single-use codes.

    Raises:
        Problem: there is no such campaign, or it is stopped.
    """
    async with pool.connection() as connection:
        campaign = await _require_campaign(connection, campaign_id)
        if campaign.stopped_at is not None:
            raise problems.campaign_stopped()
        codes: list[str] = []
        while len(codes) < count:
            wanted = {_new_code() for _ in range(count - len(codes))}
            codes += await store.add_codes(connection, campaign_id, sorted(wanted), 1)
        await audit.record(
            connection,
            actor,
            "campaign.codes_generated",
            ("campaign", campaign_id),
            account_id=None,
            details={"count": count},
        )
    return codes


async def list_codes(pool: Pool, campaign_id: str) -> list[UsedCode]:
    """Return all codes of a campaign with the number of their redemptions.

    Raises:
        Problem: there is no such campaign.
    """
    async with pool.connection() as connection:
        await _require_campaign(connection, campaign_id)
        return await store.list_codes(connection, campaign_id)


async def _require_campaign(connection: Connection, campaign_id: str) -> Campaign:
    campaign = await store.find_campaign(connection, campaign_id)
    if campaign is None:
        raise problems.campaign_not_found()
    return campaign


def _new_code() -> str:
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def _utc(at: datetime | None) -> datetime | None:
    # PostgreSQL returns times in the session's time zone.
    return at.astimezone(UTC) if at is not None else None
