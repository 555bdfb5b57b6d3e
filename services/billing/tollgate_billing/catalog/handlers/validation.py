"""Checks of operators' values. Each error names what would be right."""

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from tollgate_common.errors import Problem

# An operator's clock may be behind ours. An earlier time would change what has been sold.
PAST_TOLERANCE = timedelta(minutes=1)
CURRENCY = "USD"


def moment(valid_from: datetime | None, now: datetime, *, is_correction: bool) -> datetime:
    """Return the start of a version.

    Raises:
        Problem: the time is past and this is not a correction, or this is a correction without a time.
    """
    if valid_from is None:
        if is_correction:
            raise refusal(
                "valid_from_missing",
                "valid_from",
                "a correction needs valid_from, the time since when the price was wrong",
            )
        return now
    if valid_from < now - PAST_TOLERANCE and not is_correction:
        raise refusal(
            "valid_from_past",
            "valid_from",
            f"valid_from is {valid_from.isoformat()}, which is past, and past charges keep their price. Omit it "
            'to start now, send a future time, or send "is_correction": true to correct the time since then',
        )
    return valid_from.astimezone(UTC).replace(microsecond=valid_from.microsecond // 1000 * 1000)


def check_free(valid_from: datetime, taken: Iterable[tuple[str, datetime]], *, is_correction: bool) -> None:
    """Check that no other version starts at this time, unless this one corrects it.

    Raises:
        Problem: another version starts at this time.
    """
    for version, begins in taken:
        if begins == valid_from and not is_correction:
            raise refusal(
                "valid_from_taken",
                "valid_from",
                f"{version} already starts at {valid_from.isoformat()}, and a version is never replaced; "
                'send another time, or "is_correction": true to correct that version',
                HTTPStatus.CONFLICT,
            )


def check_currency(currency: str) -> None:
    if currency != CURRENCY:
        raise refusal(
            "wrong_currency",
            "currency",
            f"the currency is {currency!r}; expected {CURRENCY}, the currency of this deployment",
        )


def check_name(what: str, name: str, shape: re.Pattern[str]) -> None:
    if shape.fullmatch(name) is None:
        raise refusal(f"invalid_{what}", what, f"{name!r} is not a valid {what} name; it must match {shape.pattern}")


def similar(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=3)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def refusal(code: str, field: str, detail: str, status: int = HTTPStatus.UNPROCESSABLE_ENTITY) -> Problem:
    return Problem(status, code, detail, field=field)


def unknown_model(model: str, known: Sequence[str]) -> Problem:
    return refusal(
        "unknown_model",
        "model",
        f"there is no model {model!r} in the catalog{similar(model, known)}",
        HTTPStatus.NOT_FOUND,
    )
