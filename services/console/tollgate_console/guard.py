"""What keeps other sites from using a visitor's session: which calls are taken, the cookie, the answers' headers."""

from dataclasses import dataclass

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tollgate_console import problems

SAFE_METHODS = ("GET", "HEAD")
# A form of another site cannot send a header of its own, and its scripts may not without our leave.
OWN_HEADER = "Tollgate-Console"
# Scripts and styles from files of our own alone, no frames, no plug-ins, and no text that becomes markup by mistake.
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
A_YEAR_S = 31_536_000


@dataclass(frozen=True)
class SessionCookie:
    """Holds the session's token where no script can read it."""

    is_https: bool

    @property
    def name(self) -> str:
        # Browsers take a cookie of the first name only from this very host and over TLS. Without TLS, on a developer's
        # own machine, they would not keep it.
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
    """Refuse what changes something and does not come from a page of the console.

    Browsers say where a call comes from: in `Sec-Fetch-Site` towards hosts that they trust, and in `Origin`.

    Raises:
        Problem: 403.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    is_ours = site == "same-origin" if site is not None else request.headers.get("Origin") == origin
    if not is_ours or OWN_HEADER not in request.headers:
        raise problems.origin_refused()


class SecurityHeaders:
    """The application with `HEADERS` on every answer."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if is_https:
            self._headers["Strict-Transport-Security"] = f"max-age={A_YEAR_S}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
