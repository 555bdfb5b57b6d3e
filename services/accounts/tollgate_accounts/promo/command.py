"""`create-promo-code`: creates a promo code from the command line."""

import argparse
from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from tollgate_accounts.promo import store
from tollgate_accounts.promo.schemas import MAX_AMOUNT_NANO, PromoCodeText
from tollgate_accounts.promo.store import PromoCode
from tollgate_accounts.settings import AccountsSettings
from tollgate_common.cli import Command
from tollgate_common.errors import CommandError
from tollgate_common.ids import new_id
from tollgate_common.money import decimal_from_nano, nano_from_decimal
from tollgate_common.postgres.connection import connect

MAX_REDEMPTIONS = 1_000_000_000
MAX_CREDIT_DAYS = 36_500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", type=_code, help="3 to 40 letters, digits, - and _; case-insensitive")
    parser.add_argument("--amount-usd", type=_amount_nano, required=True, help="the credit in USD, such as 10 or 2.50")
    parser.add_argument(
        "--max-redemptions", type=_whole_number(MAX_REDEMPTIONS), help="maximum number of redemptions in total"
    )
    parser.add_argument("--starts-at", type=_time, help="the time from which it is valid, such as 2027-01-31T00:00:00Z")
    parser.add_argument("--ends-at", type=_time, help="the time at which it expires")
    parser.add_argument(
        "--credit-expires-after-days", type=_whole_number(MAX_CREDIT_DAYS), help="lifetime of the credit in days"
    )


async def create(settings: AccountsSettings, arguments: argparse.Namespace) -> str:
    """Create the code, or find it with the same values.

    Raises:
        CommandError: the code exists with other values, or it would end before it starts.
    """
    days = arguments.credit_expires_after_days
    wanted = PromoCode(
        code=arguments.code,
        amount_nano=arguments.amount_usd,
        starts_at=arguments.starts_at,
        ends_at=arguments.ends_at,
        max_redemptions=arguments.max_redemptions,
        credit_expires_after=timedelta(days=days) if days is not None else None,
    )
    if wanted.starts_at and wanted.ends_at and wanted.starts_at >= wanted.ends_at:
        raise CommandError("--ends-at must be later than --starts-at")
    async with await connect(settings.postgres_dsn.get_secret_value()) as connection, connection.transaction():
        found = await store.find_promo_code(connection, wanted.code)
        if found is None:
            await store.insert_promo_code(connection, new_id(), wanted)
            found = await store.find_promo_code(connection, wanted.code)
    if found is None:
        raise CommandError(f"a campaign named {wanted.code} with other codes exists; choose another code")
    if found != wanted:
        raise CommandError(f"{wanted.code} exists with other values; {_difference(found, wanted)}")
    return f"promo code {found.code} grants ${decimal_from_nano(found.amount_nano)}"


CREATE = Command(
    "create-promo-code", "create a promo code; repeating it with the same values is not an error", add_arguments, create
)


def _difference(found: PromoCode, wanted: PromoCode) -> str:
    parts = zip(PromoCode._fields, found, wanted, strict=True)
    return "; ".join(f"{name} is {_shown(is_)}, not {_shown(asked)}" for name, is_, asked in parts if is_ != asked)


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)


def _code(text: str) -> str:
    try:
        return TypeAdapter(PromoCodeText).validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a promo code; expected 3 to 40 letters, digits, - and _"
        ) from error


def _amount_nano(text: str) -> int:
    try:
        amount_nano = nano_from_decimal(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not 0 < amount_nano <= MAX_AMOUNT_NANO:
        maximum = decimal_from_nano(MAX_AMOUNT_NANO)
        raise argparse.ArgumentTypeError(
            f"${text} is not an allowed credit; expected more than $0 and at most ${maximum}"
        )
    return amount_nano


def _whole_number(maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {maximum:,}")
        return int(text)

    return parse


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.max  # noqa: DTZ901 - naive, so it is rejected below
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time with a time zone; expected a time such as 2027-01-31T00:00:00Z"
        )
    # The database stores milliseconds; a finer time would not equal itself after storing.
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
