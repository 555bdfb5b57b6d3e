"""Passes a page's call on to the service that answers it, with what the session is known by there.

The session's token comes from the cookie and goes to accounts alone; no answer carries it, nor a service's cookie.
"""

import time
from collections.abc import AsyncIterator, Mapping
from uuid import UUID

import httpx
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from tollgate_console import problems
from tollgate_console.routes import Credential, Route
from tollgate_console.services import ORGANIZATION, Services, read

MAX_BODY_BYTES = 64 * 1024
PASSED_TO_SERVICES = ("Accept", "Content-Type", "User-Agent", "Last-Event-ID")
PASSED_TO_PAGES = ("Content-Type", "Content-Disposition", "Retry-After", "X-Accel-Buffering")
# Live streams and downloads, with which a page can send no header.
ORGANIZATION_IN_QUERY = "organization"
# A live stream is let go of then, and the browser follows it again with its session as it is then: as long as an access
# token lives, and no longer, a session that has ended sees what happens.
STREAM_S = 300.0


async def forward(services: Services, route: Route, request: Request, session: str | None) -> Response:
    """The service's answer.

    Raises:
        Problem: 401 without a session, 404 for an organization that the caller is no member of, 413 with too large a
            body, 503 if the service does not answer.
    """
    headers = passed_headers(request)
    if route.credential is not Credential.NONE:
        if session is None:
            raise problems.session_missing()
        organization = organization_of(request)
        shown = session
        if route.credential is Credential.ACCESS_TOKEN:
            shown = await services.access_token(session, forwarded_for(request), organization)
        elif organization:
            headers[ORGANIZATION] = organization
        headers["Authorization"] = f"Bearer {shown}"
    path = "/" + request.path_params["path"].split("/", 1)[1]
    body = await read_body(request)
    query = passed_query(request)
    answer = await services.call(route.service, route.method, path, headers=headers, query=query, body=body)
    if route.is_stream and answer.is_success:
        return Passing(answer, passed_back(answer.headers))
    content = await read(answer, route.service)
    return Response(content, answer.status_code, passed_back(answer.headers))


def organization_of(request: Request) -> str:
    """Which organization the page shows; empty if it does not say.

    Raises:
        Problem: 404, what it names is none.
    """
    named = request.headers.get(ORGANIZATION) or request.query_params.get(ORGANIZATION_IN_QUERY, "")
    try:
        return str(UUID(named)) if named else ""
    except ValueError:
        raise problems.organization_not_found() from None


def passed_query(request: Request) -> str:
    query: str = request.scope["query_string"].decode("ascii", "replace")
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != ORGANIZATION_IN_QUERY)


def passed_headers(request: Request) -> dict[str, str]:
    found = {name: value for name in PASSED_TO_SERVICES if (value := request.headers.get(name)) is not None}
    return found | forwarded_for(request)


def forwarded_for(request: Request) -> dict[str, str]:
    """Who calls, after what those before us said: accounts believes what its `TOLLGATE_TRUSTED_PROXIES` cover."""
    peer = request.client.host if request.client else ""
    told = request.headers.getlist("X-Forwarded-For")
    return {"X-Forwarded-For": ", ".join([*told, peer])}


def passed_back(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name in PASSED_TO_PAGES if (value := headers.get(name)) is not None}
    return found | {"Cache-Control": "no-store"}


async def read_body(request: Request) -> bytes:
    """The request's body.

    Raises:
        Problem: 413.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise problems.body_too_large(MAX_BODY_BYTES)
    return body


class Passing(StreamingResponse):
    """An answer passed on piece by piece; the service's is closed when the page goes, wherever it was."""

    def __init__(self, answer: httpx.Response, headers: Mapping[str, str]) -> None:
        super().__init__(_pieces(answer), answer.status_code, headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.aclose()


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    is_live = answer.headers.get("Content-Type", "").startswith("text/event-stream")
    ends_at = time.monotonic() + STREAM_S
    try:
        async for piece in answer.aiter_raw():
            yield piece
            if is_live and time.monotonic() > ends_at:
                return
    except httpx.TransportError:
        # A live stream is resumed by the browser. A file must not look whole: the connection breaks off.
        if not is_live:
            raise
