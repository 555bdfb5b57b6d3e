"""The kinds of mails and their texts. They are plain text, which every client shows and which cannot hide a link."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class MailKind(StrEnum):
    VERIFY_EMAIL = "verify_email"
    ALREADY_REGISTERED = "already_registered"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - the name of a mail
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a mail
    INVITATION = "invitation"
    KEY_LEAKED = "key_leaked"


SUBJECTS = {
    MailKind.VERIFY_EMAIL: "Confirm your e-mail",
    MailKind.ALREADY_REGISTERED: "You already have an account",
    MailKind.RESET_PASSWORD: "Choose a new password",
    MailKind.PASSWORD_CHANGED: "Your password was changed",
    MailKind.INVITATION: "You are invited",
    MailKind.KEY_LEAKED: "We revoked a leaked API key",
}

BODIES = {
    MailKind.VERIFY_EMAIL: """You (or somebody else) signed up to Tollgate with this e-mail address. To confirm it, \
open this link within 3 days and enter the password you chose:

{link}

If you did not sign up, ignore this mail: nobody can use the account until the address is confirmed. If you want the \
account yourself, set your own password there instead.
""",
    MailKind.ALREADY_REGISTERED: """You (or somebody else) tried to sign up to Tollgate with this e-mail address, \
which already has an account.

Sign in with your password, or request a new one if you have forgotten it. If it was not you, ignore this mail.
""",
    MailKind.RESET_PASSWORD: """You (or somebody else) requested a new password for Tollgate. Set it within one hour:

{link}

If it was not you, ignore this mail: your password does not change.
""",
    MailKind.PASSWORD_CHANGED: """The password of your Tollgate account was changed from the address {address}. All \
other sessions were signed out.

If it was not you, request a new password now.
""",
    MailKind.INVITATION: """{inviter} invites you to the organization "{organization}" at Tollgate with the role {role}.

Sign in with this e-mail address (or sign up first) and accept within 7 days:

{link}
""",
    MailKind.KEY_LEAKED: """Somebody found the API key "{name}" ({hint}) and reported it to us.

We revoked it, so requests with it are rejected.

Create a new key, and remove the old one from where it was published.
""",
}

# The console page that accepts each mail's token.
PAGES = {
    MailKind.VERIFY_EMAIL: "verify-email",
    MailKind.RESET_PASSWORD: "reset-password",
    MailKind.INVITATION: "invitation",
}


def render(kind: MailKind, details: Mapping[str, Any], token: str | None, console_url: str | None) -> tuple[str, str]:
    """Return a mail's subject and text. The token follows `#`, because a browser sends that part to no server."""
    link = token
    if token is not None and console_url is not None:
        link = f"{console_url}/{PAGES[kind]}#token={token}"
    return SUBJECTS[kind], BODIES[kind].format(**details, link=link)
