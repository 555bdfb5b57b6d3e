"""Tokens between services: short-lived JWTs (RFC 7519) that the accounts service signs with EdDSA (RFC 8037).

Each service verifies tokens itself, with the public keys that accounts publishes as a JWK set (RFC 7517). A `Verifier`
caches the set. While accounts is unavailable, it uses the cached keys. For an unknown key it fetches the set again, at
most once per `ASK_AGAIN_S`, however many tokens name unknown keys. Until the first fetch succeeds it retries, and
tokens wait a little, because services start together and accounts may be the last.

Claims: `iss`, `aud`, `sub` (a person's id, or `service:<name>`), `account_id` ("" for operators and services), `role`,
`iat`, `exp`, `jti`; the header names the key, `kid`.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, NamedTuple

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from tollgate_common.ids import new_id
from tollgate_common.retries import backoff

log = logging.getLogger(__name__)

ISSUER = "tollgate-accounts"
AUDIENCE = "tollgate"
ALGORITHM = "EdDSA"
JWKS_PATH = "/.well-known/jwks.json"
SERVICE_SUBJECT = "service:"

# Interval of fetches. A key is published for much longer than this before it signs.
REFRESH_S = 60.0
# Minimum time between two fetches. Anybody can send tokens with an unknown `kid`.
ASK_AGAIN_S = 5.0
# The same before the first successful fetch, and how long a token waits for it.
ASK_FIRST_S = 0.25
FIRST_KEYS_WITHIN_S = 2.0
ANSWER_WITHIN_S = 2.0
# Maximum clock skew between two machines.
LEEWAY = timedelta(seconds=5)
MAX_TOKEN_LENGTH = 4_096
MAX_JWKS_BYTES = 64 << 10

_REQUIRED = ["iss", "aud", "sub", "account_id", "role", "iat", "exp", "jti"]


class Role(StrEnum):
    """Role of the subject in the organization `account_id`. Operators and services belong to none."""

    OWNER = "owner"
    ADMIN = "admin"
    BILLING = "billing"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    OPERATOR = "operator"
    SERVICE = "service"

    @property
    def of_member(self) -> bool:
        return self not in (Role.OPERATOR, Role.SERVICE)


class AccessToken(NamedTuple):
    """The claims of a verified token."""

    token_id: str
    subject: str
    account_id: str
    role: Role
    expires_at: datetime


class Signer(NamedTuple):
    """A private key, and the id under which its public key is published."""

    kid: str
    key: Ed25519PrivateKey

    def sign(self, *, subject: str, account_id: str, role: Role, lifetime: timedelta) -> tuple[str, AccessToken]:
        """Return a signed token and its claims."""
        now = utc_now().replace(microsecond=0)
        token = AccessToken(new_id(), subject, account_id, role, now + lifetime)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "account_id": account_id,
            "role": role.value,
            "iat": now,
            "exp": token.expires_at,
            "jti": token.token_id,
        }
        return jwt.encode(claims, self.key, ALGORITHM, headers={"kid": self.kid}), token


def jwk_set(keys: Mapping[str, Ed25519PublicKey]) -> dict[str, list[dict[str, str]]]:
    """Return the JWK set of these keys, by `kid`."""
    to_jwk = jwt.algorithms.OKPAlgorithm.to_jwk
    return {
        "keys": [{**to_jwk(key, as_dict=True), "kid": kid, "use": "sig", "alg": ALGORITHM} for kid, key in keys.items()]
    }


def looks_like_token(text: str) -> bool:
    """Whether the text has the three parts of a JWT. API keys and session tokens do not."""
    return text.count(".") == 2  # noqa: PLR2004 - header, claims, signature


class Verifier:
    """Verifies tokens with the keys that accounts publishes. `run` refreshes them."""

    def __init__(self, accounts_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Build the verifier. It fetches nothing before `run` or the first token.

        Args:
            accounts_url: URL of the accounts service.
            transport: replaces the network.
        """
        self._url = accounts_url.rstrip("/") + JWKS_PATH
        self._http = httpx.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False, transport=transport)
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._has_keys = False
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._told_at = float("-inf")

    async def run(self) -> None:
        """Fetch the keys periodically, until canceled."""
        delays = backoff(ASK_FIRST_S)
        try:
            while True:
                await self._refresh(unless_known=None)
                await asyncio.sleep(REFRESH_S if self._has_keys else next(delays))
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def verify(self, text: str) -> AccessToken:
        """Verify a token and return its claims.

        Raises:
            Problem: 401 if the token is invalid or has expired; 503 after `FIRST_KEYS_WITHIN_S` if no keys were fetched
                yet.
        """
        if len(text) > MAX_TOKEN_LENGTH:
            raise token_invalid()
        try:
            kid = jwt.get_unverified_header(text).get("kid")
        except jwt.InvalidTokenError as error:
            raise token_invalid() from error
        if not isinstance(kid, str):
            raise token_invalid()
        if kid not in self._keys:
            await self._refresh(unless_known=kid)
        if not self._has_keys:
            await self._wait_for_first_keys()
        key = self._keys.get(kid)
        if key is None:
            raise token_invalid()
        return _decode(text, key)

    async def _wait_for_first_keys(self) -> None:
        deadline = time.monotonic() + FIRST_KEYS_WITHIN_S
        while not self._has_keys:
            if time.monotonic() > deadline:
                raise _keys_unknown()
            await asyncio.sleep(ASK_FIRST_S)
            await self._refresh(unless_known=None)

    async def _refresh(self, unless_known: str | None) -> None:
        """Fetch the keys, unless another call has done so meanwhile."""
        async with self._asking:
            pause_s = ASK_AGAIN_S if self._has_keys else ASK_FIRST_S
            if unless_known in self._keys or time.monotonic() - self._asked_at < pause_s:
                return
            self._asked_at = time.monotonic()
            try:
                answer = await self._http.get(self._url)
                answer.raise_for_status()
                self._keys = _parse(answer.content)
            except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                if self._asked_at - self._told_at >= ASK_AGAIN_S:
                    self._told_at = self._asked_at
                    log.warning(
                        "fetching %s failed; the %d cached keys remain in use: %r", self._url, len(self._keys), error
                    )
            else:
                self._has_keys = True


def _parse(content: bytes) -> dict[str, Ed25519PublicKey]:
    if len(content) > MAX_JWKS_BYTES:
        raise ValueError(f"the JWK set has {len(content)} bytes; expected at most {MAX_JWKS_BYTES}")
    keys = {}
    for jwk in jwt.PyJWKSet.from_json(content.decode()).keys:
        if jwk.key_id is not None and isinstance(jwk.key, Ed25519PublicKey):
            keys[jwk.key_id] = jwk.key
    return keys


def _decode(text: str, key: Ed25519PublicKey) -> AccessToken:
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY,
            options={"require": _REQUIRED},
        )
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        return AccessToken(claims["jti"], claims["sub"], str(claims["account_id"]), Role(claims["role"]), expires_at)
    except (jwt.InvalidTokenError, ValueError) as error:
        raise token_invalid() from error


def token_invalid() -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "invalid_token",
        "this access token is invalid or has expired; get a new one with POST /v1/tokens at the accounts service",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _keys_unknown() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "token_keys_unavailable",
        "access tokens cannot be verified, because the accounts service was not available yet; try again in a moment",
        headers={"Retry-After": "5"},
    )
