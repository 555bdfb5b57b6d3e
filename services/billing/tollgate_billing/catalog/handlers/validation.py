"""What an operator may say, and how a refusal says what would be right."""

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from tollgate_common.errors import Problem

# An operator's clock may be behind ours; more than this in the past would change what has been sold.
PAST_TOLERANCE = timedelta(minutes=1)
CURRENCY = "USD"


def moment(valid_from: datetime | None, now: datetime, *, is_correction: bool) -> datetime:
    """From when on a version holds.

    Raises:
        Problem: it is past, and nobody said that the past was wrong; or it is said to be a correction of now.
    """
    if valid_from is None:
        if is_correction:
            raise refusal(
                "valid_from_missing", "valid_from", "a correction says since when the price was wrong: name valid_from"
            )
        return now
    if valid_from < now - PAST_TOLERANCE and not is_correction:
        raise refusal(
            "valid_from_past",
            "valid_from",
            f"valid_from is {valid_from.isoformat()}, which is past; what has been sold keeps its price. Leave it out "
            'for now, name a moment to come, or send "is_correction": true if what was believed since then was wrong',
        )
    return valid_from.astimezone(UTC).replace(microsecond=valid_from.microsecond // 1000 * 1000)


def check_free(valid_from: datetime, taken: Iterable[tuple[str, datetime]], *, is_correction: bool) -> None:
    """See that a version begins where none does, or corrects the one that does.

    Raises:
        Problem: another version begins there.
    """
    for version, begins in taken:
        if begins == valid_from and not is_correction:
            raise refusal(
                "valid_from_taken",
                "valid_from",
                f"{version} already begins at {valid_from.isoformat()}; a version is never replaced, and two cannot "
                'hold at once: name another moment, or send "is_correction": true if that version is wrong',
                HTTPStatus.CONFLICT,
            )


def check_currency(currency: str) -> None:
    if currency != CURRENCY:
        raise refusal(
            "wrong_currency", "currency", f"the currency is {currency!r}; this deployment's prices are in {CURRENCY}"
        )


def check_name(what: str, name: str, shape: re.Pattern[str]) -> None:
    if shape.fullmatch(name) is None:
        raise refusal(f"invalid_{what}", what, f"{name!r} is no name of a {what}; it must match {shape.pattern}")


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
