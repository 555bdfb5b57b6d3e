"""Signing keys, and the tokens that they sign.

A key is published for `PUBLISH_AHEAD` before it signs, so that every verifier has read it by then. It is kept until the
last token that it signed has expired. If the deployment's secret cannot decrypt any key, a new one signs at once:
verifiers fetch a key that they do not know.
"""

from datetime import timedelta

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tollgate_accounts.tokens import problems, store
from tollgate_accounts.tokens.seal import Seal
from tollgate_common.auth.access_tokens import SERVICE_SUBJECT, AccessToken, Role, Signer
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection, Pool
from tollgate_common.retries import repeat

PERSON_TOKEN_LIFETIME = timedelta(minutes=5)
SERVICE_TOKEN_LIFETIME = timedelta(minutes=15)
KEY_LIFETIME = timedelta(days=30)
PUBLISH_AHEAD = timedelta(hours=1)
# Longer than any token's lifetime, plus a margin for clock skew.
RETENTION = SERVICE_TOKEN_LIFETIME + timedelta(minutes=5)
POLL_INTERVAL_S = 60.0

IMMEDIATELY = timedelta(0)


class Issuer:
    """Signs tokens with the keys in the database."""

    def __init__(self, pool: Pool, seal: Seal | None) -> None:
        """Build the issuer.

        Args:
            pool: connections to the accounts database.
            seal: decrypts the private keys. Without it, the issuer signs nothing.
        """
        self._pool = pool
        self._seal = seal

    async def for_member(self, person_id: str, account_id: str, role: str) -> tuple[str, AccessToken]:
        """Return a token with the person's role in the organization, as text and as its claims."""
        signer = await self._signer()
        return signer.sign(subject=person_id, account_id=account_id, role=Role(role), lifetime=PERSON_TOKEN_LIFETIME)

    async def for_operator(self, operator_id: str) -> tuple[str, AccessToken]:
        signer = await self._signer()
        return signer.sign(subject=operator_id, account_id="", role=Role.OPERATOR, lifetime=PERSON_TOKEN_LIFETIME)

    async def for_service(self, service: str) -> tuple[str, AccessToken]:
        signer = await self._signer()
        return signer.sign(
            subject=SERVICE_SUBJECT + service, account_id="", role=Role.SERVICE, lifetime=SERVICE_TOKEN_LIFETIME
        )

    async def published(self) -> dict[str, Ed25519PublicKey]:
        """Return the keys that verify tokens: the previous, the current and the next one."""
        async with self._pool.connection() as connection:
            keys = await store.read_signing_keys(connection)
        return {key.kid: Ed25519PublicKey.from_public_bytes(key.public_key) for key in keys}

    async def rotate(self) -> None:
        """Add the next key when it is due, and delete keys whose tokens have all expired."""
        if self._seal is None:
            return
        async with self._pool.connection() as connection:
            await store.lock_signing_keys(connection)
            keys = await store.read_signing_keys(connection)
            if not any(self._is_usable(key) for key in keys):
                await add_key(connection, self._seal, IMMEDIATELY)
            elif keys[-1].signs_since >= KEY_LIFETIME - PUBLISH_AHEAD:
                await add_key(connection, self._seal, PUBLISH_AHEAD)
            await store.delete_dead_signing_keys(connection, RETENTION)

    async def run(self) -> None:
        """Rotate keys until canceled. Retries while the database is unavailable."""
        await repeat(self.rotate, "rotating the signing keys", psycopg.OperationalError, interval_s=POLL_INTERVAL_S)

    async def _signer(self) -> Signer:
        if self._seal is None:
            raise problems.tokens_not_configured()
        signer = await self._newest(self._seal)
        if signer is None:
            await self.rotate()
            signer = await self._newest(self._seal)
        assert signer is not None, "a rotation leaves a key that signs"
        return signer

    async def _newest(self, seal: Seal) -> Signer | None:
        async with self._pool.connection() as connection:
            keys = await store.read_signing_keys(connection)
        for stored in reversed(keys):
            if stored.signs_since >= IMMEDIATELY:
                key = seal.open(stored.kid, stored.sealed_private_key)
                if key is not None:
                    return Signer(stored.kid, key)
        return None

    def _is_usable(self, stored: store.StoredKey) -> bool:
        assert self._seal is not None, "the caller has looked"
        is_ours = self._seal.open(stored.kid, stored.sealed_private_key) is not None
        return is_ours and stored.signs_since >= IMMEDIATELY


async def add_key(connection: Connection, seal: Seal, signs_in: timedelta) -> str:
    """Add a key and return its id."""
    kid, key = new_id(), Ed25519PrivateKey.generate()
    await store.add_signing_key(
        connection,
        kid,
        public_key=key.public_key().public_bytes_raw(),
        sealed_private_key=seal.seal(kid, key),
        signs_in=signs_in,
    )
    return kid


async def replace_keys(connection: Connection, seal: Seal) -> str:
    """Replace all keys by one that signs at once. Every token that they signed becomes invalid."""
    await store.lock_signing_keys(connection)
    await store.delete_signing_keys(connection)
    return await add_key(connection, seal, IMMEDIATELY)
