"""The settings of the accounts service."""

from ipaddress import ip_network
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from tollgate_accounts.rules import Networks, Rules
from tollgate_common.settings import ServiceSettings


class AccountsSettings(ServiceSettings):
    postgres_dsn: SecretStr = Field(description="the accounts database, postgresql://user:password@host:port/database")
    signing_secret: SecretStr | None = Field(
        None, min_length=32, description="encrypts the keys that sign access tokens; without it, accounts issues none"
    )
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the shared secret with which services request their access tokens"
    )
    operator_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="the shared bearer token of operators; without it, only persons who are operators have access",
    )
    stripe_api_key: SecretStr | None = Field(
        None, min_length=8, description="Stripe's secret key; without it, card payments are disabled"
    )
    stripe_webhook_secret: SecretStr | None = Field(
        None, min_length=8, description="verifies the events that Stripe sends to /v1/stripe/events"
    )
    stripe_api_url: str | None = Field(None, pattern="^https?://", description="replaces the URL of Stripe's API")
    balance_url: str | None = Field(
        None, pattern="^https?://", description="URL of the balance service, which provides balances to operators"
    )
    email_verification: Literal["required", "optional"] = Field(
        "required", description="whether a person must verify their e-mail address before they can sign in"
    )
    smtp_host: str | None = Field(None, description="the mail server; without it, mails stay queued")
    smtp_port: int = Field(587, ge=1, le=65535, description="port of the mail server")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="encryption of the connection to the mail server"
    )
    smtp_username: str | None = Field(None, description="user name at the mail server, if it requires one")
    smtp_password: SecretStr | None = Field(None, description="password at the mail server")
    mail_from: str = Field("Tollgate <no-reply@localhost>", description="sender of mails")
    console_url: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+[^\s]*$",
        description="URL of the web console: mails link to it, and it may use session cookies",
    )
    trusted_proxies: str = Field(
        "", description="networks whose X-Forwarded-For header is trusted, separated by commas"
    )
    unlimited_addresses: str = Field(
        "", description="networks that are exempt from limits by address, separated by commas"
    )

    @field_validator("trusted_proxies", "unlimited_addresses")
    @classmethod
    def _networks(cls, text: str) -> str:
        parse_networks(text)
        return text

    @model_validator(mode="after")
    def _can_be_verified(self) -> Self:
        if self.email_verification == "required" and self.smtp_host is None:
            raise ValueError("TOLLGATE_EMAIL_VERIFICATION is 'required' (the default), which needs TOLLGATE_SMTP_HOST")
        return self

    @model_validator(mode="after")
    def _stripe_is_whole(self) -> Self:
        if (self.stripe_api_key is None) != (self.stripe_webhook_secret is None):
            raise ValueError("TOLLGATE_STRIPE_API_KEY and TOLLGATE_STRIPE_WEBHOOK_SECRET must both be set, or neither")
        if self.stripe_api_key is not None and self.console_url is None:
            raise ValueError(
                "TOLLGATE_STRIPE_API_KEY needs TOLLGATE_CONSOLE_URL, to which customers return after paying"
            )
        return self

    def rules(self) -> Rules:
        return Rules(
            email_must_be_verified=self.email_verification == "required",
            console_url=self.console_url.rstrip("/") if self.console_url else None,
            trusted_proxies=tuple(str(network) for network in parse_networks(self.trusted_proxies)),
            unlimited=parse_networks(self.unlimited_addresses),
        )


def parse_networks(text: str) -> Networks:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
