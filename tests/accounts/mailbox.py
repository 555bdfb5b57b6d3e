"""The mails that the service sent."""

import re
from email.message import EmailMessage

import httpx

from accounts.answers import CONSOLE, PASSWORD
from tollgate_accounts.mails.mailer import Mailer
from tollgate_common.postgres.connection import Pool

TOKEN = re.compile(r"#token=(\S+)")


class Mailbox:
    """Delivers the due mails from the database, as the service's mailer does."""

    def __init__(self, pool: Pool) -> None:
        self.mails: list[EmailMessage] = []
        self._mailer = Mailer(pool, self._take, "Tollgate <no-reply@example.com>", CONSOLE)

    async def _take(self, message: EmailMessage) -> None:
        self.mails.append(message)

    async def fetch(self) -> list[tuple[str, str]]:
        """Send the queued mails. Return the recipient and subject of each since the last call."""
        before = len(self.mails)
        while await self._mailer.send_one():
            pass
        return [(mail["To"], mail["Subject"]) for mail in self.mails[before:]]

    async def confirm(self, client: httpx.AsyncClient, email: str) -> None:
        """Follow the newest mail to this address."""
        proof = {"token": await self.token(email), "password": PASSWORD}
        answer = await client.post("/v1/email-verifications", json=proof)
        assert answer.status_code == 200, answer.text

    async def token(self, email: str) -> str:
        """Return the token of the newest mail to this address."""
        return await self.token_of(email, None)

    async def token_of(self, email: str, subject: str | None) -> str:
        """Return the token of the newest mail with this subject."""
        await self.fetch()
        of_person = [mail for mail in self.mails if mail["To"] == email]
        newest = [mail for mail in of_person if subject in (None, mail["Subject"])][-1]
        found = TOKEN.search(newest.get_content())
        assert found, newest.get_content()
        return found[1]
