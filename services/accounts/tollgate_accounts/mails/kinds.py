"""What mails there are, and what they say. Plain text: it is shown everywhere and hides nothing."""

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
    MailKind.ALREADY_REGISTERED: "You have an account already",
    MailKind.RESET_PASSWORD: "Choose a new password",
    MailKind.PASSWORD_CHANGED: "Your password was changed",
    MailKind.INVITATION: "You are invited",
    MailKind.KEY_LEAKED: "An API key has leaked and was revoked",
}

BODIES = {
    MailKind.VERIFY_EMAIL: """Somebody, we hope you, signed up to Tollgate with this e-mail. Confirm it within 3 \
days, with the password that you chose:

{link}

If it was not you, do nothing: without this the account is of no use to anybody. If you want one yourself, choose \
a password of your own there instead.
""",
    MailKind.ALREADY_REGISTERED: """Somebody, perhaps you, tried to sign up to Tollgate with this e-mail, which has an \
account already.

Sign in with your password, or ask for a new one if you have forgotten it. If it was not you, do nothing.
""",
    MailKind.RESET_PASSWORD: """Somebody, we hope you, asked for a new password at Tollgate. Choose one within an hour:

{link}

If it was not you, do nothing: your password stays as it is.
""",
    MailKind.PASSWORD_CHANGED: """The password of your account at Tollgate was changed from the address {address}, and \
every other session was ended.

If it was not you, ask for a new password at once.
""",
    MailKind.INVITATION: """{inviter} invites you to the organization "{organization}" at Tollgate, as its {role}.

Accept within 7 days, signed in with this e-mail; sign up with it first if you have no account:

{link}
""",
    MailKind.KEY_LEAKED: """Somebody found the text of the API key "{name}" ({hint}) and reported it to us.

We have revoked it: it works nowhere any more.

Make a new one, and look for where the old one was written down.
""",
}

# Where the console takes the token of each mail that carries one.
PAGES = {
    MailKind.VERIFY_EMAIL: "verify-email",
    MailKind.RESET_PASSWORD: "reset-password",
    MailKind.INVITATION: "invitation",
}


def render(kind: MailKind, details: Mapping[str, Any], token: str | None, console_url: str | None) -> tuple[str, str]:
    """A mail's subject and text. The token stands behind `#`: a browser does not send that to any server."""
    link = token
    if token is not None and console_url is not None:
        link = f"{console_url}/{PAGES[kind]}#token={token}"
    return SUBJECTS[kind], BODIES[kind].format(**details, link=link)
