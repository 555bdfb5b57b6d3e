"""The deployment's settings for sign-up, sign-in and limits, read once from the environment."""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True)
class Limit:
    """At most `max_attempts` of `action` in a window, by e-mail address, person, client address or a pair of these."""

    action: str
    max_attempts: int
    window: timedelta


@dataclass(frozen=True)
class Limits:
    """The limits tolerate a person's slips and stop a program's guesses. An address may be shared by a whole office."""

    sign_in: Limit = Limit("sign_in", 10, timedelta(minutes=15))
    sign_in_email: Limit = Limit("sign_in_email", 100, timedelta(minutes=15))
    sign_in_address: Limit = Limit("sign_in_address", 100, timedelta(minutes=15))
    sign_up_email: Limit = Limit("sign_up_email", 5, timedelta(hours=1))
    sign_up_address: Limit = Limit("sign_up_address", 20, timedelta(hours=1))
    mail_email: Limit = Limit("mail_email", 5, timedelta(hours=1))
    mail_address: Limit = Limit("mail_address", 20, timedelta(hours=1))
    token_address: Limit = Limit("token_address", 50, timedelta(hours=1))
    promo_code_person: Limit = Limit("promo_code_person", 20, timedelta(hours=1))
    promo_code_address: Limit = Limit("promo_code_address", 60, timedelta(hours=1))
    invitation_person: Limit = Limit("invitation_person", 50, timedelta(hours=1))
    leak_address: Limit = Limit("leak_address", 60, timedelta(minutes=1))


@dataclass(frozen=True)
class Rules:
    email_must_be_verified: bool = True
    """Whether a person must verify their e-mail address before they can sign in."""
    console_url: str | None = None
    """The base of links in mails, and the only origin that may use the session cookie."""
    trusted_proxies: tuple[str, ...] = ()
    """The networks whose `X-Forwarded-For` header is trusted."""
    unlimited: Networks = ()
    """The networks that are exempt from limits by address."""
    limits: Limits = Limits()

    @property
    def console_origin(self) -> str | None:
        if self.console_url is None:
            return None
        parts = urlsplit(self.console_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_https(self) -> bool:
        return self.console_url is not None and self.console_url.startswith("https://")

    def counts(self, address: str) -> bool:
        """Return whether limits by address apply to this address."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return True
        return not any(parsed in network for network in self.unlimited)
