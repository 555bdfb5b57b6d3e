"""Runs the statements of `sql/`. Each function is one statement; the caller's transaction holds them together."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tollgate_accounts import rows
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection
from tollgate_common.statements import Statements

SQL = Statements("tollgate_accounts.promo")


class Terms(NamedTuple):
    """What a campaign gives, and to whom; None is no bound."""

    name: str
    amount_nano: int
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_redemptions: int | None = None
    max_per_account: int = 1
    audience: str = "all"
    """`all`, or `new`: accounts that have never had any credit."""
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
    """A code that is a campaign of its own, as an operator creates it at the command line; None is no bound."""

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


class Redeemed(NamedTuple):
    """How often an account and a person have redeemed: codes of a campaign, a code, and any code elsewhere."""

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
    """False if there is a campaign of that name."""
    return await rows.one(connection, SQL["add_campaign"], id=campaign_id, **terms._asdict()) is not None


async def add_codes(
    connection: Connection, campaign_id: str, codes: Sequence[str], max_redemptions: int | None
) -> list[str]:
    """Those that were not there before."""
    added = await rows.every(
        connection,
        SQL["add_codes"],
        campaign_id=campaign_id,
        ids=[new_id() for _ in codes],
        codes=list(codes),
        max_redemptions=max_redemptions,
    )
    return [row["code"] for row in added]


async def find_campaign(connection: Connection, campaign_id: str) -> Campaign | None:
    row = await rows.one(connection, SQL["find_campaign"], id=campaign_id)
    return Campaign(**row) if row else None


async def list_campaigns(connection: Connection, after: str | None, limit: int) -> list[Campaign]:
    """Newest first."""
    return [Campaign(**row) for row in await rows.every(connection, SQL["list_campaigns"], after=after, limit=limit)]


async def stop_campaign(connection: Connection, campaign_id: str) -> bool:
    """False if it was stopped before."""
    return await rows.one(connection, SQL["stop_campaign"], id=campaign_id) is not None


async def list_codes(connection: Connection, campaign_id: str) -> list[UsedCode]:
    return [UsedCode(**row) for row in await rows.every(connection, SQL["list_codes"], campaign_id=campaign_id)]


async def insert_promo_code(connection: Connection, promo_code_id: str, promo_code: PromoCode) -> bool:
    """A campaign of the code's name, with this one code. False, and nothing done, if one of that name exists."""
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
    row = await rows.one(connection, SQL["find_promo_code"], code=code)
    return PromoCode(**row) if row else None


async def find_redeemable(connection: Connection, code: str) -> Redeemable | None:
    row = await rows.one(connection, SQL["find_redeemable"], code=code)
    return Redeemable(**row) if row else None


async def lock_redeemable(connection: Connection, redeemable: Redeemable) -> None:
    """Have everyone else who redeems a code of the campaign wait until the transaction has ended."""
    await rows.one(connection, SQL["lock_redeemable"], promo_code_id=redeemable.id)


async def count_of_redeemer(
    connection: Connection, redeemable: Redeemable, account_id: str, person_id: str | None
) -> Redeemed:
    row = await rows.one(
        connection,
        SQL["count_of_redeemer"],
        campaign_id=redeemable.campaign_id,
        promo_code_id=redeemable.id,
        account_id=account_id,
        person_id=person_id,
    )
    assert row is not None, "a count is a row"
    return Redeemed(**row)


async def insert_redemption(
    connection: Connection, account_id: str, person_id: str | None, grant_id: str, redeemable: Redeemable
) -> Grant | None:
    """None if the account has redeemed this code before."""
    row = await rows.one(
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


async def count_redemption(connection: Connection, redeemable: Redeemable) -> bool:
    """False if the code or its campaign is used up. Two statements, each under its row's lock, always in this order."""
    if await rows.one(connection, SQL["count_redemption"], promo_code_id=redeemable.id) is None:
        return False
    return await rows.one(connection, SQL["count_campaign"], campaign_id=redeemable.campaign_id) is not None
