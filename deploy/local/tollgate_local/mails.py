"""A mail server that delivers nothing: it keeps what it is given and shows it, so that nobody needs a mailbox to try
the system out. `GET /` is a page for people, `GET /v1/mails?to=...` the same for programs.
"""

import argparse
import asyncio
import functools
import html
import itertools
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qs

import msgspec
import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session

from tollgate_local.ports import HOST

KEPT_MAILS = 1000


@dataclass(frozen=True)
class CaughtMail:
    number: int
    at: str
    to: list[str]
    subject: str
    text: str


class Mailbox:
    """The newest mails, in memory."""

    def __init__(self) -> None:
        self._mails: deque[CaughtMail] = deque(maxlen=KEPT_MAILS)
        self._numbers = itertools.count(1)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.original_content or b""
        message = message_from_bytes(content, policy=policy.default)
        body = message.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        subject = str(message["Subject"] or "")
        self._mails.appendleft(CaughtMail(next(self._numbers), now, list(envelope.rcpt_tos), subject, text))
        return "250 caught"

    def list(self, to: str | None) -> list[CaughtMail]:
        """Newest first; with `to`, what was sent there."""
        return [mail for mail in self._mails if to is None or to.lower() in (name.lower() for name in mail.to)]


async def app(mailbox: Mailbox, scope: dict[str, Any], _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    query = parse_qs(scope["query_string"].decode())
    mails = mailbox.list(query.get("to", [None])[0])
    if scope["path"] == "/v1/mails":
        status, kind, body = 200, b"application/json", msgspec.json.encode({"mails": [asdict(mail) for mail in mails]})
    elif scope["path"] == "/":
        status, kind, body = 200, b"text/html; charset=utf-8", page(mails).encode()
    else:
        status, kind, body = 404, b"text/plain", b"there are / and /v1/mails"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def page(mails: list[CaughtMail]) -> str:
    shown = "".join(
        f"<article><h2>{html.escape(mail.subject)}</h2><p>to {html.escape(', '.join(mail.to))}, {mail.at}</p>"
        f"<pre>{html.escape(mail.text)}</pre></article>"
        for mail in mails
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Mails</title>"
        "<style>body{font:16px system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}"
        "article{border-top:1px solid #ccc}h2{font-size:1.1rem}pre{white-space:pre-wrap}</style>"
        f"<h1>Mails that were caught</h1>{shown or '<p>None yet.</p>'}</html>"
    )


async def serve(host: str, smtp_port: int, port: int) -> None:
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: SMTP(mailbox, hostname="localhost", loop=loop), host, smtp_port)
    config = uvicorn.Config(
        functools.partial(app, mailbox),
        interface="asgi3",  # uvicorn takes what is no function for the older one
        host=host,
        port=port,
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    async with smtp:
        await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tollgate_local.mails", description=__doc__)
    parser.add_argument("--host", default=HOST, help="address to listen on")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.host, arguments.smtp_port, arguments.port))


if __name__ == "__main__":
    main()
