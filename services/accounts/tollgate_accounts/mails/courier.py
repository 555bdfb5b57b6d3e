"""Sends the mails that wait.

Guarantee: a mail written in a transaction is sent if that transaction commits, at least once, as long as the mail
server takes it within three days. Crash window: after the mail server took it, before the commit that forgets it; it is
sent again then, with another token. A token is committed before its mail leaves, so both work; but for an invitation,
which has one token at a time, the later one.
"""

import asyncio
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

LOOK_EVERY_S = 0.5
GIVE_UP_AFTER = timedelta(days=3)
MAX_DELAY = timedelta(hours=1)
# What a token proves, and for how long.
TOKENS = {
    MailKind.VERIFY_EMAIL: ("verify_email", timedelta(days=3)),
    MailKind.RESET_PASSWORD: ("reset_password", timedelta(hours=1)),
}
TOKEN_PREFIX = "tgm_"  # noqa: S105 - what its tokens begin with

Send = Callable[[EmailMessage], Awaitable[None]]

log = logging.getLogger(__name__)


class Courier:
    def __init__(self, pool: Pool, send: Send, sender: str, console_url: str | None) -> None:
        """Build it; `run` works.

        Args:
            pool: of the database.
            send: hands a mail to the mail server; raises Retryable if that does not take it now.
            sender: the `From` of every mail.
            console_url: where links lead; without it a mail carries the bare token.
        """
        self._pool = pool
        self._send = send
        self._sender = sender
        self._console_url = console_url

    async def run(self) -> None:
        """Send until cancelled; a lost store is waited for."""
        while True:
            try:
                while await self.send_one():
                    pass
            except psycopg.OperationalError as error:
                log.warning("mails wait for the database: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def send_one(self) -> bool:
        """Send the mail that is due longest; False if none is."""
        async with self._pool.connection() as connection:
            mail = await store.take(connection)
            if mail is None:
                return False
            try:
                await self._deliver(mail)
                await store.delete(connection, mail.id)
            except Retryable as error:
                await self._put_off(connection, mail, error)
        return True

    async def _deliver(self, mail: Mail) -> None:
        kind = MailKind(mail.kind)
        token = None
        if kind in PAGES:
            token = TOKEN_PREFIX + secrets.token_urlsafe(32)
            # On a connection of its own: the mail stays locked on this one until it has been sent.
            async with self._pool.connection() as committing:
                is_of_use = await _remember(committing, mail, kind, token)
            if not is_of_use:
                return
        subject, text = render(kind, mail.details, token, self._console_url)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, mail.recipient, subject
        message["Message-ID"] = make_msgid(domain="tollgate")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        await self._send(message)

    async def _put_off(self, connection: Connection, mail: Mail, error: Retryable) -> None:
        if mail.age > GIVE_UP_AFTER:
            log.error("mail %s (%s) is given up after %d tries: %s", mail.id, mail.kind, mail.tries + 1, error)
            await store.delete(connection, mail.id)
            return
        delay = min(timedelta(seconds=2**mail.tries), MAX_DELAY) if mail.tries < 12 else MAX_DELAY  # noqa: PLR2004
        log.warning("mail %s (%s) waits %s: %s", mail.id, mail.kind, delay, error)
        await store.put_off(connection, mail.id, delay)


async def _remember(connection: Connection, mail: Mail, kind: MailKind, token: str) -> bool:
    """Keep what the token proves; False if the mail is of no use any more, or nobody has its e-mail."""
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
