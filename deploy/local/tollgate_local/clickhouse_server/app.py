"""The ASGI application: routes, checks who asks, reads the request, and words what went wrong."""

import hmac
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from tollgate_local.clickhouse_server.answers import Answers, Send, send_whole
from tollgate_local.clickhouse_server.body import Body, Receive, with_form
from tollgate_local.clickhouse_server.compression import decoder_for
from tollgate_local.clickhouse_server.engine import Engine
from tollgate_local.clickhouse_server.errors import AUTHENTICATION_FAILED, ClickHouseError, ClientGone
from tollgate_local.clickhouse_server.request import Credentials, Request
from tollgate_local.clickhouse_server.statement import STATEMENT_LIMIT_BYTES, Kind, parse

_TEXT = {"Content-Type": "text/plain; charset=UTF-8"}


class App:
    """One request in, one statement run, one answer out. `spool` is a folder for rows on their way to the engine."""

    def __init__(self, engine: Engine, credentials: Credentials, spool: Path) -> None:
        self._credentials = credentials
        self._answers = Answers(engine, spool)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        request = Request.of(scope)
        if request.path == "/ping" or (request.path == "/" and request.method == "GET" and not request.query):
            await send_whole(send, 200, _TEXT, b"Ok.\n")
        elif request.path != "/":
            await send_whole(send, 404, _TEXT, b"There is no handle for this path; use / or /ping\n")
        else:
            await self._answer_or_explain(request, receive, send)

    async def close(self) -> None:
        await self._answers.close()

    async def _answer_or_explain(self, request: Request, receive: Receive, send: Send) -> None:
        try:
            await self._answer(request, receive, send)
        except ClientGone:
            return
        except ClickHouseError as error:
            headers = {**self._answers.headers(request), "X-ClickHouse-Exception-Code": str(error.code)}
            await send_whole(send, error.status, headers, self._answers.explanation(error))

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        self._authenticate(request.credentials())
        request.refuse_unsupported()
        body = Body(receive, decoder_for(request.headers.get("content-encoding", "")))
        request = await with_form(request, body)
        text = request.query + await body.read(STATEMENT_LIMIT_BYTES)
        statement = parse(text)
        if statement.kind is Kind.UPLOAD:
            await self._answers.upload(request, statement, text[statement.rows_at :], body, send)
            return
        if rest := await body.read():
            statement = parse(text + rest)
        if statement.kind is Kind.WRITE:
            await self._answers.write(request, statement, send)
        else:
            await self._answers.read(request, statement, receive, send)

    def _authenticate(self, given: Credentials) -> None:
        known_user = hmac.compare_digest(given.user.encode(), self._credentials.user.encode())
        known_password = hmac.compare_digest(given.password.encode(), self._credentials.password.encode())
        if not (known_user and known_password):
            reason = f"{given.user}: Authentication failed: password is incorrect, or there is no user with such name"
            raise ClickHouseError.refused(AUTHENTICATION_FAILED, reason)
