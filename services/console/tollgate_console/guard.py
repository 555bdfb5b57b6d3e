"""Protection against other sites that would use a visitor's session: origin check, cookie, response headers."""

from dataclasses import dataclass

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tollgate_console import problems

SAFE_METHODS = ("GET", "HEAD")
# A form of another site cannot send a custom header, and its scripts may not do so without permission (CORS).
OWN_HEADER = "Tollgate-Console"
# Scripts and styles only from the console's files; no frames and no plug-ins; no text can become markup by mistake.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
ONE_YEAR_S = 31_536_000


@dataclass(frozen=True)
class SessionCookie:
    """The cookie with the session's token, which no script can read."""

    is_https: bool

    @property
    def name(self) -> str:
        # Browsers accept a `__Host-` cookie only from this exact host and over TLS. Without TLS, on a developer's
        # machine, they would drop it.
        return "__Host-tollgate_console" if self.is_https else "tollgate_console"

    def read(self, request: Request) -> str | None:
        return request.cookies.get(self.name) or None

    def write(self, response: Response, token: str, max_age_s: int) -> None:
        response.set_cookie(
            self.name, token, max_age=max_age_s, path="/", httponly=True, samesite="strict", secure=self.is_https
        )

    def clear(self, response: Response) -> None:
        response.delete_cookie(self.name, path="/", httponly=True, samesite="strict", secure=self.is_https)


def require_own_page(request: Request, origin: str) -> None:
    """Reject a request that changes something, unless it comes from a page of the console.

    Browsers report the source of a request in `Sec-Fetch-Site`, for hosts that they consider trustworthy, and in
    `Origin`.

    Raises:
        Problem: 403.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    is_ours = site == "same-origin" if site is not None else request.headers.get("Origin") == origin
    if not is_ours or OWN_HEADER not in request.headers:
        raise problems.origin_not_allowed()


class SecurityHeaders:
    """Middleware that adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if is_https:
            self._headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR_S}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
