"""Sends the queued mails.

Guarantee: a mail that a committed transaction queued is sent at least once, provided that the mail server accepts it
within three days. Crash window: after the mail server accepts a mail and before the commit that deletes it; the mail is
then sent again with another token. A token is committed before its mail is sent, so both tokens work. An invitation has
one token at a time: only the later one works.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.message import EmailMessage
from email.utils import make_msgid

import psycopg

from tollgate_accounts.access.permissions import token_hash
from tollgate_accounts.emails import fold
from tollgate_accounts.mails import store
from tollgate_accounts.mails.kinds import PAGES, MailKind, render
from tollgate_accounts.mails.store import Mail
from tollgate_common.errors import Retryable
from tollgate_common.postgres.connection import Connection, Pool
from tollgate_common.retries import repeat

POLL_INTERVAL_S = 0.5
MAX_RETRY_AGE = timedelta(days=3)
MAX_DELAY = timedelta(hours=1)
# The purpose and lifetime of each mail's token.
TOKENS = {
    MailKind.VERIFY_EMAIL: ("verify_email", timedelta(days=3)),
    MailKind.RESET_PASSWORD: ("reset_password", timedelta(hours=1)),
}
TOKEN_PREFIX = "tgm_"  # noqa: S105 - the prefix of its tokens

Send = Callable[[EmailMessage], Awaitable[None]]

log = logging.getLogger(__name__)


class Mailer:
    def __init__(self, pool: Pool, send: Send, sender: str, console_url: str | None) -> None:
        """Build the mailer; `run` starts it.

        Args:
            pool: connections to the accounts database.
            send: hands a mail to the mail server, and raises Retryable if the server does not accept it now.
            sender: the `From` header of every mail.
            console_url: the base of links. Without it, a mail contains the bare token.
        """
        self._pool = pool
        self._send = send
        self._sender = sender
        self._console_url = console_url

    async def run(self) -> None:
        """Send mails until canceled. Retries while the database is unavailable."""

        async def turn() -> None:
            while await self.send_one():
                pass

        await repeat(turn, "reading the queued mails", psycopg.OperationalError, interval_s=POLL_INTERVAL_S)

    async def send_one(self) -> bool:
        """Send the mail that has been due longest. Return False if none is due."""
        async with self._pool.connection() as connection:
            mail = await store.claim(connection)
            if mail is None:
                return False
            try:
                await self._deliver(mail)
                await store.delete(connection, mail.id)
            except Retryable as error:
                await self._postpone(connection, mail, error)
        return True

    async def _deliver(self, mail: Mail) -> None:
        kind = MailKind(mail.kind)
        token = None
        if kind in PAGES:
            token = TOKEN_PREFIX + secrets.token_urlsafe(32)
            # Commit the token on a second connection: this one keeps the mail locked until it is sent.
            async with self._pool.connection() as committing:
                is_needed = await _store_token(committing, mail, kind, token)
            if not is_needed:
                return
        subject, text = render(kind, mail.details, token, self._console_url)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, mail.recipient, subject
        message["Message-ID"] = make_msgid(domain="tollgate")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        await self._send(message)

    async def _postpone(self, connection: Connection, mail: Mail, error: Retryable) -> None:
        if mail.age > MAX_RETRY_AGE:
            log.error("mail %s (%s) is dropped after %d tries: %s", mail.id, mail.kind, mail.tries + 1, error)
            await store.delete(connection, mail.id)
            return
        # 2**12 seconds exceed MAX_DELAY already, and an unbounded power overflows.
        delay = min(timedelta(seconds=2 ** min(mail.tries, 12)), MAX_DELAY)
        log.warning("mail %s (%s) is retried in %s: %s", mail.id, mail.kind, delay, error)
        await store.postpone(connection, mail.id, delay)


async def _store_token(connection: Connection, mail: Mail, kind: MailKind, token: str) -> bool:
    """Store the token's hash. Return False if the mail is no longer needed or nobody has its address."""
    if kind is MailKind.INVITATION:
        return await store.set_invitation_token(connection, mail.details["invitation_id"], token_hash(token))
    purpose, lifetime = TOKENS[kind]
    return await store.insert_token(
        connection,
        token_hash=token_hash(token),
        recipient=fold(mail.recipient),
        purpose=purpose,
        lifetime=lifetime,
    )
