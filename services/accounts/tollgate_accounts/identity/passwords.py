"""Password hashing with argon2id, which is slow and memory-hard by design. Hashes run in threads, a few at a time."""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

# Each hash takes 64 MiB. This bounds the memory that concurrent sign-ins take together.
PARALLEL_HASHES = 4


class Passwords:
    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._slots = asyncio.Semaphore(PARALLEL_HASHES)
        self._dummy_hash = hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Return whether the password matches. Without a hash it never does, but the check takes equally long."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, password, password_hash or self._dummy_hash)

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False
