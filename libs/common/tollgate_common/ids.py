"""Ids: UUIDs of version 7, which sort by creation time."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils


def new_id() -> str:
    return str(uuid_utils.uuid7())


def made_at(uuid7: str) -> datetime:
    """Return the creation time of a UUIDv7, in milliseconds (RFC 9562, section 5.7).

    Raises:
        ValueError: `uuid7` is not a UUID of version 7.
    """
    parsed = UUID(uuid7)
    if parsed.version != 7:  # noqa: PLR2004 - the version with a time
        raise ValueError(f"{uuid7!r} is not a UUID of version 7")
    return datetime.fromtimestamp((parsed.int >> 80) / 1000, UTC)


def id_floor(at: datetime) -> str:
    """Return the smallest UUIDv7 of the millisecond `at`. Every later id compares above it, also as text."""
    version, variant = 7 << 76, 2 << 62
    return str(UUID(int=int(at.timestamp() * 1000) << 80 | version | variant))
