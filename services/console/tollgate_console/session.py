"""Sign-in, sign-out and the description of a session. Accounts stores the session; the browser has its cookie."""

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
from tollgate_console.proxy import forwarded_headers, read_body, returned_headers
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
        """Return the signed-in person and their organization, each null if there is none, and the API's base URL."""
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
        """Return the session's organization. If the person left it, switch to another one of theirs first."""
        account = await self._find(request, session, "/v1/account")
        if account is not None:
            return account
        found = await self._find(request, session, "/v1/organizations")
        if not found or not found["organizations"]:
            return None
        body = msgspec.json.encode({"account_id": found["organizations"][0]["account_id"]})
        self._services.forget(session)
        await self._request(request, "PUT", "/v1/sessions/current/organization", session, body)
        return await self._find(request, session, "/v1/account")

    async def _find(self, request: Request, session: str, path: str) -> Any:
        status, content = await self._request(request, "GET", path, session)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):
            return None
        if status != HTTPStatus.OK:
            raise problems.service_unavailable("accounts")
        return msgspec.json.decode(content)

    async def begin(self, request: Request) -> Response:
        """Sign in.

        Raises:
            Problem: 422 if the body is not an e-mail and a password; 503 if accounts is unavailable.
        """
        try:
            given = msgspec.json.decode(await read_body(request), type=_Credentials)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The cause is dropped because it could quote the password.
            raise problems.invalid_credentials() from None
        headers = forwarded_headers(request) | {"Content-Type": "application/json"}
        body = msgspec.json.encode(given)
        response = await self._services.call("accounts", "POST", "/v1/sessions", headers=headers, body=body)
        content = await read(response, "accounts")
        if not response.is_success:
            return Response(content, response.status_code, returned_headers(response.headers))
        session = msgspec.json.decode(content, type=_Session)
        created = JSONResponse({"expires_at": session.expires_at.isoformat()}, HTTPStatus.CREATED, headers=NO_STORE)
        max_age_s = int((session.expires_at.astimezone(UTC) - self._now()).total_seconds())
        self._cookie.write(created, session.token, max_age_s)
        return created

    async def end(self, request: Request) -> Response:
        """Sign out. Accounts ends the session before the cookie is cleared, so an active session never looks ended.

        Raises:
            Problem: 503 if accounts is unavailable.
        """
        session = self._cookie.read(request)
        if session is not None:
            self._services.forget(session)
            status, _ = await self._request(request, "DELETE", "/v1/sessions/current", session)
            if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.UNAUTHORIZED):
                raise problems.service_unavailable("accounts")
        response = Response(status_code=HTTPStatus.NO_CONTENT, headers=NO_STORE)
        self._cookie.clear(response)
        return response

    async def _request(
        self, request: Request, method: str, path: str, session: str, body: bytes = b""
    ) -> tuple[int, bytes]:
        headers = forwarded_headers(request) | {"Authorization": f"Bearer {session}"}
        if body:
            headers["Content-Type"] = "application/json"
        response = await self._services.call("accounts", method, path, headers=headers, body=body)
        return response.status_code, await read(response, "accounts")
