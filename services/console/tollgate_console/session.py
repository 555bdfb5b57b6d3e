"""The session of a browser: who has it, how it begins and ends. Accounts keeps it; the browser has a cookie of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from tollgate_common.clock import utc_now
from tollgate_console import problems
from tollgate_console.guard import SessionCookie
from tollgate_console.proxy import passed_back, passed_headers, read_body
from tollgate_console.services import Services, read

NO_STORE = {"Cache-Control": "no-store"}


class _Credentials(msgspec.Struct, forbid_unknown_fields=True):
    email: str
    password: str


class _Session(msgspec.Struct):
    token: str
    expires_at: datetime


class Sessions:
    def __init__(self, services: Services, cookie: SessionCookie, *, now: Callable[[], datetime] = utc_now) -> None:
        self._services = services
        self._cookie = cookie
        self._now = now

    async def describe(self, request: Request, api_url: str) -> Response:
        """Who is signed in and in which organization, each null if there is none, and what every page needs."""
        session = self._cookie.read(request)
        account = person = None
        if session is not None:
            account = await self._account(request, session)
            found = account or await self._find(request, session, "/v1/person")
            person = found and {"email": found["email"]}
        response = JSONResponse({"person": person, "account": account, "api_url": api_url}, headers=NO_STORE)
        if person is None and session is not None:
            self._cookie.clear(response)
        return response

    async def _account(self, request: Request, session: str) -> Any:
        """The session's organization; another one of the person's where they are no member of it any more."""
        account = await self._find(request, session, "/v1/account")
        if account is not None:
            return account
        found = await self._find(request, session, "/v1/organizations")
        if not found or not found["organizations"]:
            return None
        body = msgspec.json.encode({"account_id": found["organizations"][0]["account_id"]})
        self._services.forget(session)
        await self._ask(request, "PUT", "/v1/sessions/current/organization", session, body)
        return await self._find(request, session, "/v1/account")

    async def _find(self, request: Request, session: str, path: str) -> Any:
        status, content = await self._ask(request, "GET", path, session)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):
            return None
        if status != HTTPStatus.OK:
            raise problems.service_away("accounts")
        return msgspec.json.decode(content)

    async def begin(self, request: Request) -> Response:
        """Sign in.

        Raises:
            Problem: 422, the body is no e-mail and password; 503, accounts does not answer.
        """
        try:
            given = msgspec.json.decode(await read_body(request), type=_Credentials)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Without the cause, which could quote the password.
            raise problems.invalid_credentials() from None
        headers = passed_headers(request) | {"Content-Type": "application/json"}
        body = msgspec.json.encode(given)
        answer = await self._services.call("accounts", "POST", "/v1/sessions", headers=headers, body=body)
        content = await read(answer, "accounts")
        if not answer.is_success:
            return Response(content, answer.status_code, passed_back(answer.headers))
        session = msgspec.json.decode(content, type=_Session)
        response = JSONResponse({"expires_at": session.expires_at.isoformat()}, HTTPStatus.CREATED, headers=NO_STORE)
        lasts_s = int((session.expires_at.astimezone(UTC) - self._now()).total_seconds())
        self._cookie.write(response, session.token, lasts_s)
        return response

    async def end(self, request: Request) -> Response:
        """Sign out. The session ends at accounts first: one that lives on must not look as if it had ended.

        Raises:
            Problem: 503, accounts does not answer.
        """
        session = self._cookie.read(request)
        if session is not None:
            self._services.forget(session)
            status, _ = await self._ask(request, "DELETE", "/v1/sessions/current", session)
            if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.UNAUTHORIZED):
                raise problems.service_away("accounts")
        response = Response(status_code=HTTPStatus.NO_CONTENT, headers=NO_STORE)
        self._cookie.clear(response)
        return response

    async def _ask(
        self, request: Request, method: str, path: str, session: str, body: bytes = b""
    ) -> tuple[int, bytes]:
        headers = passed_headers(request) | {"Authorization": f"Bearer {session}"}
        if body:
            headers["Content-Type"] = "application/json"
        answer = await self._services.call("accounts", method, path, headers=headers, body=body)
        return answer.status_code, await read(answer, "accounts")
