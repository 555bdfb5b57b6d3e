"""What a member of an organization may be."""

from enum import StrEnum


class Role(StrEnum):
    OWNER = "owner"
    """Everything, and who else is an owner."""
    ADMIN = "admin"
    """Everything but what concerns owners."""
    BILLING = "billing"
    """Credit, payments and invoices."""
    DEVELOPER = "developer"
    """API keys and projects."""
    VIEWER = "viewer"
    """Looks, and changes nothing."""


EVERYONE = tuple(Role)
