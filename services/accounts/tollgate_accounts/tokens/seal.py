"""Encryption of the private keys in the database, so that a copy of the database signs nothing."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12
_KEY_BYTES = 32


class Seal:
    """AES-256-GCM with a key derived from the deployment's secret. The ciphertext is bound to the key's id."""

    def __init__(self, secret: str) -> None:
        derive = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"tollgate signing keys")
        self._cipher = AESGCM(derive.derive(secret.encode()))

    def seal(self, kid: str, key: Ed25519PrivateKey) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key.private_bytes_raw(), kid.encode())

    def open(self, kid: str, sealed: bytes) -> Ed25519PrivateKey | None:
        """Return None if the key was sealed with another secret or for another id."""
        try:
            raw = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], kid.encode())
        except InvalidTag:
            return None
        return Ed25519PrivateKey.from_private_bytes(raw)
