"""The mails that the service sent."""

import re
from email.message import EmailMessage

from accounts.answers import CONSOLE
from tollgate_accounts.mails.courier import Courier
from tollgate_common.postgres import Pool

TOKEN = re.compile(r"#token=(\S+)")


class Mailbox:
    """Takes what is due out of the database, as the service's courier does."""

    def __init__(self, pool: Pool) -> None:
        self.mails: list[EmailMessage] = []
        self._courier = Courier(pool, self._take, "Tollgate <no-reply@example.com>", CONSOLE)

    async def _take(self, message: EmailMessage) -> None:
        self.mails.append(message)

    async def fetch(self) -> list[tuple[str, str]]:
        """Sends what waits; who got which subject since the last time."""
        before = len(self.mails)
        while await self._courier.send_one():
            pass
        return [(mail["To"], mail["Subject"]) for mail in self.mails[before:]]

    async def token(self, email: str) -> str:
        """What the newest mail to this e-mail carries."""
        await self.fetch()
        newest = [mail for mail in self.mails if mail["To"] == email][-1]
        found = TOKEN.search(newest.get_content())
        assert found, newest.get_content()
        return found[1]
