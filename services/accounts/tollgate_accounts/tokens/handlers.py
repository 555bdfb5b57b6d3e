"""Signing keys and what they sign.

A key is published for `PUBLISHED_BEFORE` before it signs, so every verifier knows it by then, and kept until the last
token that it signed is dead. A key that this deployment's secret does not open is followed at once by one that it does:
verifiers ask for a key that they do not know.
"""

import asyncio
import logging
from datetime import timedelta

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tollgate_accounts.tokens import problems, store
from tollgate_accounts.tokens.seal import Seal
from tollgate_common.auth.access_tokens import SERVICE_SUBJECT, AccessToken, Role, Signer
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection, Pool

log = logging.getLogger(__name__)

PERSON_TOKEN_LIFETIME = timedelta(minutes=5)
SERVICE_TOKEN_LIFETIME = timedelta(minutes=15)
SIGNS_FOR = timedelta(days=30)
PUBLISHED_BEFORE = timedelta(hours=1)
# Longer than any token lives, by more than clocks may differ.
KEPT_FOR = SERVICE_TOKEN_LIFETIME + timedelta(minutes=5)
LOOK_EVERY_S = 60.0

AT_ONCE = timedelta(0)


class Issuer:
    """Signs tokens with the keys in the database."""

    def __init__(self, pool: Pool, seal: Seal | None) -> None:
        """Build it.

        Args:
            pool: of the database.
            seal: opens the private keys; without it no token is signed.
        """
        self._pool = pool
        self._seal = seal

    async def for_member(self, person_id: str, account_id: str, role: str) -> tuple[str, AccessToken]:
        """A token that says what the person is to the organization, as text and as what it says."""
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
        """The keys that verify tokens: yesterday's, today's and tomorrow's."""
        async with self._pool.connection() as connection:
            keys = await store.read_signing_keys(connection)
        return {key.kid: Ed25519PublicKey.from_public_bytes(key.public_key) for key in keys}

    async def rotate(self) -> None:
        """Add the next key when its time has come, and remove those whose tokens are dead."""
        if self._seal is None:
            return
        async with self._pool.connection() as connection:
            await store.lock_signing_keys(connection)
            keys = await store.read_signing_keys(connection)
            if not any(self._opens(key) for key in keys):
                await add_key(connection, self._seal, AT_ONCE)
            elif keys[-1].signs_since >= SIGNS_FOR - PUBLISHED_BEFORE:
                await add_key(connection, self._seal, PUBLISHED_BEFORE)
            await store.delete_dead_signing_keys(connection, KEPT_FOR)

    async def run(self) -> None:
        """Rotate when it is time, until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self.rotate()
            except psycopg.OperationalError as error:
                log.warning("signing keys wait for the database: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

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
            if stored.signs_since >= AT_ONCE:
                key = seal.open(stored.kid, stored.sealed_private_key)
                if key is not None:
                    return Signer(stored.kid, key)
        return None

    def _opens(self, stored: store.StoredKey) -> bool:
        assert self._seal is not None, "the caller has looked"
        is_ours = self._seal.open(stored.kid, stored.sealed_private_key) is not None
        return is_ours and stored.signs_since >= AT_ONCE


async def add_key(connection: Connection, seal: Seal, signs_in: timedelta) -> str:
    """A new key's name."""
    kid, key = new_id(), Ed25519PrivateKey.generate()
    await store.add_signing_key(
        connection,
        kid,
        public_key=key.public_key().public_bytes_raw(),
        sealed_private_key=seal.close(kid, key),
        signs_in=signs_in,
    )
    return kid


async def replace_keys(connection: Connection, seal: Seal) -> str:
    """A new key that signs at once; all others are gone, and with them every token they signed."""
    await store.lock_signing_keys(connection)
    await store.delete_signing_keys(connection)
    return await add_key(connection, seal, AT_ONCE)
