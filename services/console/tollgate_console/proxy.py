"""Forwards a page's request to a service, with the credential that the service expects.

The session's token comes from the cookie and goes to accounts only. No response contains it, or a service's cookie.
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
from tollgate_console.services import ORGANIZATION_HEADER, Services, read

MAX_BODY_BYTES = 64 * 1024
FORWARDED_HEADERS = ("Accept", "Content-Type", "User-Agent", "Last-Event-ID")
RETURNED_HEADERS = ("Content-Type", "Content-Disposition", "Retry-After", "X-Accel-Buffering")
# For live streams and downloads, for which a page cannot set headers.
ORGANIZATION_PARAMETER = "organization"
# A live stream ends after this time, and the browser resumes it with its current session. A session that has ended
# therefore sees events no longer than an access token lives.
STREAM_S = 300.0


async def forward(services: Services, route: Route, request: Request, session: str | None) -> Response:
    """Forward the request and return the service's response.

    Raises:
        Problem: 401 without a session; 404 if the caller is not a member of the organization; 413 if the body is too
            large; 503 if the service is unavailable.
    """
    headers = forwarded_headers(request)
    if route.credential is not Credential.NONE:
        if session is None:
            raise problems.session_required()
        organization = organization_of(request)
        credential = session
        if route.credential is Credential.ACCESS_TOKEN:
            credential = await services.access_token(session, forwarded_for(request), organization)
        elif organization:
            headers[ORGANIZATION_HEADER] = organization
        headers["Authorization"] = f"Bearer {credential}"
    path = "/" + request.path_params["path"].split("/", 1)[1]
    body = await read_body(request)
    query = forwarded_query(request)
    response = await services.call(route.service, route.method, path, headers=headers, query=query, body=body)
    if route.is_stream and response.is_success:
        return ForwardedStream(response, returned_headers(response.headers))
    content = await read(response, route.service)
    return Response(content, response.status_code, returned_headers(response.headers))


def organization_of(request: Request) -> str:
    """Return the organization that the page shows, or an empty string if the request names none.

    Raises:
        Problem: 404 if the name is not a UUID.
    """
    named = request.headers.get(ORGANIZATION_HEADER) or request.query_params.get(ORGANIZATION_PARAMETER, "")
    try:
        return str(UUID(named)) if named else ""
    except ValueError:
        raise problems.organization_not_found() from None


def forwarded_query(request: Request) -> str:
    query: str = request.scope["query_string"].decode("ascii", "replace")
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != ORGANIZATION_PARAMETER)


def forwarded_headers(request: Request) -> dict[str, str]:
    found = {name: value for name in FORWARDED_HEADERS if (value := request.headers.get(name)) is not None}
    return found | forwarded_for(request)


def forwarded_for(request: Request) -> dict[str, str]:
    """Append the client's address to `X-Forwarded-For`. Accounts trusts what `TOLLGATE_TRUSTED_PROXIES` covers."""
    peer = request.client.host if request.client else ""
    earlier = request.headers.getlist("X-Forwarded-For")
    return {"X-Forwarded-For": ", ".join([*earlier, peer])}


def returned_headers(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name in RETURNED_HEADERS if (value := headers.get(name)) is not None}
    return found | {"Cache-Control": "no-store"}


async def read_body(request: Request) -> bytes:
    """Read the request's body.

    Raises:
        Problem: 413 if it has more than `MAX_BODY_BYTES`.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise problems.body_too_large(MAX_BODY_BYTES)
    return body


class ForwardedStream(StreamingResponse):
    """A response passed on in pieces. If the page disconnects, at any point, the service's response is closed."""

    def __init__(self, response: httpx.Response, headers: Mapping[str, str]) -> None:
        super().__init__(_pieces(response), response.status_code, headers)
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._response.aclose()


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    is_live = response.headers.get("Content-Type", "").startswith("text/event-stream")
    ends_at = time.monotonic() + STREAM_S
    try:
        async for piece in response.aiter_raw():
            yield piece
            if is_live and time.monotonic() > ends_at:
                return
    except httpx.TransportError:
        # The browser resumes a live stream. A file must not look complete, so the connection breaks off.
        if not is_live:
            raise
