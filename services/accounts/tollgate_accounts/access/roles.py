"""The roles of an organization's members."""

from enum import StrEnum


class Role(StrEnum):
    OWNER = "owner"
    """May do everything, and alone decides who is an owner."""
    ADMIN = "admin"
    """May do everything except change who is an owner."""
    BILLING = "billing"
    """Makes payments and redeems promo codes, and reads what a viewer reads."""
    DEVELOPER = "developer"
    """Creates, changes, rotates and revokes API keys, but not projects, and reads what a viewer reads."""
    VIEWER = "viewer"
    """Reads the organization, its members, API keys and projects, and changes nothing."""


EVERYONE = tuple(Role)
