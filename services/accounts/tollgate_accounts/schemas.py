"""What more than one topic takes and gives over HTTP. Times are RFC 3339 in UTC; money is nano-units and a decimal."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from fastapi import Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from tollgate_common.clock import utc_now

# PostgreSQL's text holds no NUL, and a name with a line break misleads whoever reads it in a list.
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
NO_CONTROL_CHARACTER = r"^[^\x00-\x1f\x7f]*$"

MAX_AHEAD = timedelta(days=36_500)


def _normalized_email(text: str) -> str:
    # Whether the domain takes mail is for the mail that is sent there to find out: no DNS in the way of a sign-up.
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "{reason}", {"reason": str(error)}) from error


def without_control_characters(text: str) -> str:
    if _CONTROL_CHARACTER.search(text):
        raise PydanticCustomError("control_character", "may hold no control characters such as line breaks")
    return text


def _encodable(password: SecretStr) -> SecretStr:
    # JSON can spell half of a surrogate pair, and pydantic lets it through in a secret.
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError("string_unicode", "is no valid Unicode text") from error
    return password


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("time_range", "is not within the years 1 to 9999 in UTC") from error


def _future(at: datetime) -> datetime:
    now = utc_now()
    if not now < at <= now + MAX_AHEAD:
        raise PydanticCustomError("not_in_future", "must be in the future and within 100 years; leave it out for never")
    return at


Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(_normalized_email),
    Field(json_schema_extra={"format": "email"}, examples=["ada@example.com"]),
]
Password = Annotated[SecretStr, AfterValidator(_encodable)]
UtcTime = Annotated[datetime, AfterValidator(_utc)]
AwareTime = Annotated[AwareDatetime, AfterValidator(_utc)]
FutureTime = Annotated[AwareDatetime, AfterValidator(_utc), AfterValidator(_future)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(without_control_characters),
    Field(json_schema_extra={"pattern": NO_CONTROL_CHARACTER}),
]


class Request(BaseModel):
    # A misspelled `expires_at` must not silently make a key that never expires.
    model_config = ConfigDict(extra="forbid")


def keep_out_of_caches(response: Response) -> None:
    """For answers that carry a secret (RFC 6749, section 5.1, asks the same of tokens)."""
    response.headers["Cache-Control"] = "no-store"
