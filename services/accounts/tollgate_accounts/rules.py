"""What an operator decides about the entrance: read from the settings once, and handed to whoever needs it."""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True)
class Limit:
    """At most so many attempts of `action` by one e-mail, person or address, or one of both, in a window of time."""

    action: str
    most: int
    window: timedelta


@dataclass(frozen=True)
class Limits:
    """One person's slips pass, a program's guesses do not. An address may stand for an office full of people."""

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
    """Whether nobody signs in before they have opened the link in the mail."""
    console_url: str | None = None
    """Where mails link to, and the only place whose pages may use the session cookie."""
    trusted_proxies: tuple[str, ...] = ()
    """Whose `X-Forwarded-For` is believed."""
    unlimited: Networks = ()
    """Addresses that no limit by address counts."""
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
        """Whether limits by address count this one."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return True
        return not any(parsed in network for network in self.unlimited)
