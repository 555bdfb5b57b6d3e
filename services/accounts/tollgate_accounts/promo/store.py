"""Queries about promo codes and campaigns. Each function runs one statement in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.promo")


class Terms(NamedTuple):
    """The terms of a campaign. None means no limit."""

    name: str
    amount_nano: int
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_redemptions: int | None = None
    max_per_account: int = 1
    audience: str = "all"
    """`all`, or `new`: accounts that have never had credit."""
    credit_expires_after: timedelta | None = None


class Campaign(NamedTuple):
    """A campaign as operators see it."""

    id: str
    name: str
    amount_nano: int
    starts_at: datetime | None
    ends_at: datetime | None
    max_redemptions: int | None
    max_per_account: int
    audience: str
    credit_expires_after: timedelta | None
    redemptions: int
    created_at: datetime
    stopped_at: datetime | None
    codes: int


class PromoCode(NamedTuple):
    """A code that is its own campaign, as the command line creates it. None means no limit."""

    code: str
    amount_nano: int
    starts_at: datetime | None
    ends_at: datetime | None
    max_redemptions: int | None
    credit_expires_after: timedelta | None


class UsedCode(NamedTuple):
    code: str
    redemptions: int


class Redeemable(NamedTuple):
    id: str
    campaign_id: str
    amount_nano: int
    expires_at: datetime | None
    max_per_account: int
    for_new_only: bool
    is_early: bool
    is_over: bool


class RedemptionCounts(NamedTuple):
    """The redemptions of an account and a person: of a campaign, of a code, and for the person's other accounts."""

    of_account: int
    of_person: int
    of_person_and_code: int
    elsewhere: int


class Grant(NamedTuple):
    grant_id: str
    amount_nano: int
    expires_at: datetime | None
    redeemed_at: datetime


async def add_campaign(connection: Connection, campaign_id: str, terms: Terms) -> bool:
    """Return False if a campaign with this name exists."""
    return await rows.fetch_one(connection, SQL["add_campaign"], id=campaign_id, **terms._asdict()) is not None


async def add_codes(
    connection: Connection, campaign_id: str, codes: Sequence[str], max_redemptions: int | None
) -> list[str]:
    """Add the codes and return those that did not exist."""
    added = await rows.fetch_all(
        connection,
        SQL["add_codes"],
        campaign_id=campaign_id,
        ids=[new_id() for _ in codes],
        codes=list(codes),
        max_redemptions=max_redemptions,
    )
    return [row["code"] for row in added]


async def find_campaign(connection: Connection, campaign_id: str) -> Campaign | None:
    row = await rows.fetch_one(connection, SQL["find_campaign"], id=campaign_id)
    return Campaign(**row) if row else None


async def list_campaigns(connection: Connection, after: str | None, limit: int) -> list[Campaign]:
    """Return a page of campaigns, newest first."""
    return [
        Campaign(**row) for row in await rows.fetch_all(connection, SQL["list_campaigns"], after=after, limit=limit)
    ]


async def stop_campaign(connection: Connection, campaign_id: str) -> bool:
    """Return False if the campaign was stopped before."""
    return await rows.fetch_one(connection, SQL["stop_campaign"], id=campaign_id) is not None


async def list_codes(connection: Connection, campaign_id: str) -> list[UsedCode]:
    return [UsedCode(**row) for row in await rows.fetch_all(connection, SQL["list_codes"], campaign_id=campaign_id)]


async def insert_promo_code(connection: Connection, promo_code_id: str, promo_code: PromoCode) -> bool:
    """Create a campaign named for the code, with this one code. Return False if one of that name exists."""
    terms = Terms(
        name=promo_code.code,
        amount_nano=promo_code.amount_nano,
        starts_at=promo_code.starts_at,
        ends_at=promo_code.ends_at,
        max_redemptions=promo_code.max_redemptions,
        credit_expires_after=promo_code.credit_expires_after,
    )
    if not await add_campaign(connection, promo_code_id, terms):
        return False
    await add_codes(connection, promo_code_id, [promo_code.code], promo_code.max_redemptions)
    return True


async def find_promo_code(connection: Connection, code: str) -> PromoCode | None:
    row = await rows.fetch_one(connection, SQL["find_promo_code"], code=code)
    return PromoCode(**row) if row else None


async def find_redeemable(connection: Connection, code: str) -> Redeemable | None:
    row = await rows.fetch_one(connection, SQL["find_redeemable"], code=code)
    return Redeemable(**row) if row else None


async def lock_redeemable(connection: Connection, redeemable: Redeemable) -> None:
    """Serialize redemptions: others of the same campaign wait until the transaction ends."""
    await rows.fetch_one(connection, SQL["lock_redeemable"], promo_code_id=redeemable.id)


async def count_redemptions(
    connection: Connection, redeemable: Redeemable, account_id: str, person_id: str | None
) -> RedemptionCounts:
    row = await rows.fetch_one(
        connection,
        SQL["count_redemptions"],
        campaign_id=redeemable.campaign_id,
        promo_code_id=redeemable.id,
        account_id=account_id,
        person_id=person_id,
    )
    assert row is not None, "a count is a row"
    return RedemptionCounts(**row)


async def insert_redemption(
    connection: Connection, account_id: str, person_id: str | None, grant_id: str, redeemable: Redeemable
) -> Grant | None:
    """Return None if the account has redeemed this code before."""
    row = await rows.fetch_one(
        connection,
        SQL["insert_redemption"],
        grant_id=grant_id,
        promo_code_id=redeemable.id,
        campaign_id=redeemable.campaign_id,
        account_id=account_id,
        person_id=person_id,
        amount_nano=redeemable.amount_nano,
        expires_at=redeemable.expires_at,
    )
    return Grant(**row) if row else None


async def use_up(connection: Connection, redeemable: Redeemable) -> bool:
    """Count one redemption. Return False if the code or its campaign is exhausted.

    Runs two statements, each under its row's lock, always in this order.
    """
    if await rows.fetch_one(connection, SQL["increment_code"], promo_code_id=redeemable.id) is None:
        return False
    return await rows.fetch_one(connection, SQL["increment_campaign"], campaign_id=redeemable.campaign_id) is not None
