"""Delivery to the mail server over SMTP."""

from email.message import EmailMessage

import aiosmtplib

from tollgate_accounts.settings import AccountsSettings
from tollgate_common.errors import Retryable

TIMEOUT_S = 30.0


class Smtp:
    def __init__(self, settings: AccountsSettings) -> None:
        self._settings = settings

    async def send(self, message: EmailMessage) -> None:
        """Hand over one mail.

        Raises:
            Retryable: the mail server is unavailable or does not accept the mail.
        """
        settings = self._settings
        if settings.smtp_host is None:
            raise Retryable("TOLLGATE_SMTP_HOST is not set")
        password = settings.smtp_password
        try:
            await aiosmtplib.send(
                message,
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_username,
                password=password.get_secret_value() if password else None,
                use_tls=settings.smtp_security == "tls",
                start_tls=settings.smtp_security == "starttls",
                timeout=TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            # Log no error text: a server may repeat the recipient's address in it.
            raise Retryable(f"the mail server at {settings.smtp_host} failed: {type(error).__name__}") from error
