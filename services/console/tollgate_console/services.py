"""The HTTP client of the services, and the access tokens that it presents to them."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import msgspec

from tollgate_console import problems

TIMEOUT_S = 30.0
# One connection for each live stream that a browser follows, and some for short requests.
MAX_CONNECTIONS = 1000
# Access tokens expire after five minutes. The console caches one for less, so that a member who loses a role, or a
# session that ends elsewhere, soon loses access to the data.
TOKEN_CACHED_S = 60.0
MAX_SESSIONS = 10_000
# The header that names the organization of a request, for accounts.
ORGANIZATION_HEADER = "Tollgate-Organization"


class _Issued(msgspec.Struct):
    token: str


class Services:
    """Sends requests to the services by their names, and caches access tokens."""

    def __init__(
        self,
        urls: Mapping[str, str],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the client.

        Args:
            urls: the URL of each service.
            transport: replaces the network.
            now: a monotonic clock, in seconds.
        """
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._now = now
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=50),
            trust_env=False,
            follow_redirects=False,
            transport=transport,
            # All visitors share this client. A stored cookie would be sent with other visitors' requests.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        # By the hash of the session, then by organization: the time until which a token is cached, and the token.
        self._tokens: OrderedDict[bytes, dict[str, tuple[float, str]]] = OrderedDict()
        self._locks: dict[tuple[bytes, str], asyncio.Lock] = {}

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(
        self, service: str, method: str, path: str, *, headers: Mapping[str, str], query: str = "", body: bytes = b""
    ) -> httpx.Response:
        """Send a request and return the response. The caller must read or close it.

        Raises:
            Problem: 503 if the service is unavailable.
        """
        url = f"{self._urls[service]}{path}" + (f"?{query}" if query else "")
        # The body is passed on as it arrives, so it must not be compressed.
        request = self._http.build_request(
            method, url, headers={"Accept-Encoding": "identity", **headers}, content=body or None
        )
        try:
            return await self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise problems.service_unavailable(service) from error

    async def access_token(self, session: str, headers: Mapping[str, str], organization: str = "") -> str:
        """Return an access token for an organization, or for the session's current one if `organization` is empty.

        Pages name their organization, because another page or instance may have switched the session meanwhile.

        Raises:
            Problem: 401 if the session has ended; 404 if the person is not a member of the organization; 503 if
                accounts is unavailable or issues no tokens.
        """
        key = (_hash(session), organization)
        if token := self._cached(key):
            return token
        # A page sends several requests at once. Only the first of them gets a token.
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                return self._cached(key) or await self._issue(key, session, headers)
        finally:
            self._locks.pop(key, None)

    def forget(self, session: str) -> None:
        self._tokens.pop(_hash(session), None)

    def _cached(self, key: tuple[bytes, str]) -> str | None:
        hashed, organization = key
        until_s, token = self._tokens.get(hashed, {}).get(organization, (0.0, ""))
        return token if self._now() < until_s else None

    async def _issue(self, key: tuple[bytes, str], session: str, headers: Mapping[str, str]) -> str:
        hashed, organization = key
        requested_at = self._now()
        presented = {**headers, "Authorization": f"Bearer {session}"}
        if organization:
            presented[ORGANIZATION_HEADER] = organization
        response = await self.call("accounts", "POST", "/v1/tokens", headers=presented)
        content = await read(response, "accounts")
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise problems.session_required()
        if response.status_code == httpx.codes.NOT_FOUND:
            raise problems.organization_not_found()
        if not response.is_success:
            raise problems.service_unavailable("accounts")
        token = msgspec.json.decode(content, type=_Issued).token
        self._tokens.setdefault(hashed, {})[organization] = (requested_at + TOKEN_CACHED_S, token)
        self._tokens.move_to_end(hashed)
        while len(self._tokens) > MAX_SESSIONS:
            self._tokens.popitem(last=False)
        return token


async def read(response: httpx.Response, service: str) -> bytes:
    """Read the whole body of a response and close it.

    Raises:
        Problem: 503 if the connection breaks off.
    """
    try:
        return await response.aread()
    except httpx.TransportError as error:
        raise problems.service_unavailable(service) from error
    finally:
        await response.aclose()


def _hash(session: str) -> bytes:
    """Hash a session's token. The cache stores only hashes, so a dump of its keys reveals no session."""
    return hashlib.sha256(session.encode()).digest()
