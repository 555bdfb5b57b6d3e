"""The services that the console asks, and the access tokens that it shows them."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import msgspec

from tollgate_console import problems

ANSWER_WITHIN_S = 30.0
# A connection for each live stream that a browser follows, and as many again for what takes milliseconds.
MAX_CONNECTIONS = 1000
# Access tokens live for five minutes. Asked for anew each minute, so that a member who loses a role, or a session that
# is ended elsewhere, loses sight of the numbers soon.
TOKEN_KEPT_S = 60.0
MAX_SESSIONS = 10_000
# The header by which accounts is told which organization a call is about.
ORGANIZATION = "Tollgate-Organization"


class _Issued(msgspec.Struct):
    token: str


class Services:
    """Calls of the services by their names."""

    def __init__(
        self,
        urls: Mapping[str, str],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Build it.

        Args:
            urls: of each service.
            transport: replaces the network.
            now: seconds on a clock that only goes forward.
        """
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._now = now
        self._http = httpx.AsyncClient(
            timeout=ANSWER_WITHIN_S,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=50),
            trust_env=False,
            follow_redirects=False,
            transport=transport,
            # This client calls for everybody: a cookie that it kept would be sent along with others' calls.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        # Of each session, by the organization that they are for.
        self._tokens: OrderedDict[bytes, dict[str, tuple[float, str]]] = OrderedDict()
        self._asking: dict[tuple[bytes, str], asyncio.Lock] = {}

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(
        self, service: str, method: str, path: str, *, headers: Mapping[str, str], query: str = "", body: bytes = b""
    ) -> httpx.Response:
        """The service's answer, whose body is not read yet; close it.

        Raises:
            Problem: 503, the service does not answer.
        """
        url = f"{self._urls[service]}{path}" + (f"?{query}" if query else "")
        # What it sends is passed on as it comes, so it must not be compressed here.
        request = self._http.build_request(
            method, url, headers={"Accept-Encoding": "identity", **headers}, content=body or None
        )
        try:
            return await self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise problems.service_away(service) from error

    async def access_token(self, session: str, headers: Mapping[str, str], organization: str = "") -> str:
        """What other services than accounts know the caller by, in an organization, or in the session's own.

        Pages name theirs: another page or another instance of the console may have switched the session meanwhile.

        Raises:
            Problem: 401, the session has ended; 404, its person is no member of the organization; 503, accounts does
                not answer or gives no tokens.
        """
        key = (_hash(session), organization)
        if token := self._kept(key):
            return token
        # A page asks for several things at once; one of them asks for the token.
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                return self._kept(key) or await self._issue(key, session, headers)
        finally:
            self._asking.pop(key, None)

    def forget(self, session: str) -> None:
        self._tokens.pop(_hash(session), None)

    def _kept(self, key: tuple[bytes, str]) -> str | None:
        hashed, organization = key
        until_s, token = self._tokens.get(hashed, {}).get(organization, (0.0, ""))
        return token if self._now() < until_s else None

    async def _issue(self, key: tuple[bytes, str], session: str, headers: Mapping[str, str]) -> str:
        hashed, organization = key
        asked_at = self._now()
        shown = {**headers, "Authorization": f"Bearer {session}"}
        if organization:
            shown[ORGANIZATION] = organization
        answer = await self.call("accounts", "POST", "/v1/tokens", headers=shown)
        content = await read(answer, "accounts")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise problems.session_missing()
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise problems.organization_not_found()
        if not answer.is_success:
            raise problems.service_away("accounts")
        token = msgspec.json.decode(content, type=_Issued).token
        self._tokens.setdefault(hashed, {})[organization] = (asked_at + TOKEN_KEPT_S, token)
        self._tokens.move_to_end(hashed)
        while len(self._tokens) > MAX_SESSIONS:
            self._tokens.popitem(last=False)
        return token


async def read(answer: httpx.Response, service: str) -> bytes:
    """The whole body of an answer, which is then closed.

    Raises:
        Problem: 503, the service went away in the middle.
    """
    try:
        return await answer.aread()
    except httpx.TransportError as error:
        raise problems.service_away(service) from error
    finally:
        await answer.aclose()


def _hash(session: str) -> bytes:
    """A session's tokens are kept under its hash: whoever reads a dump of this process finds no session in it."""
    return hashlib.sha256(session.encode()).digest()
