"""Passwords are hashed with argon2id, which is slow and large by design: it runs in threads, a few at a time."""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

# Each hash takes 64 MiB: this bounds what a crowd at the door takes together.
PARALLEL_HASHES = 4


class Passwords:
    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._slots = asyncio.Semaphore(PARALLEL_HASHES)
        self._hash_of_nobody = hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(self, password: str, password_hash: str | None) -> bool:
        """Whether this is the password. Without a hash, for an unknown e-mail, it is not; to find that out takes just
        as long."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, password, password_hash or self._hash_of_nobody)

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False
