"""Ids are UUIDs of version 7: they sort by the time they were made."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils


def new_id() -> str:
    return str(uuid_utils.uuid7())


def made_at(uuid7: str) -> datetime:
    """The millisecond in which a UUIDv7 was made (RFC 9562, section 5.7).

    Raises:
        ValueError: `uuid7` is no UUID of version 7.
    """
    parsed = UUID(uuid7)
    if parsed.version != 7:  # noqa: PLR2004 - the version that carries a time
        raise ValueError(f"{uuid7!r} is no UUID of version 7")
    return datetime.fromtimestamp((parsed.int >> 80) / 1000, UTC)


def id_floor(at: datetime) -> str:
    """The smallest UUIDv7 of the millisecond `at`: its text compares below every id made since."""
    version, variant = 7 << 76, 2 << 62
    return str(UUID(int=int(at.timestamp() * 1000) << 80 | version | variant))
