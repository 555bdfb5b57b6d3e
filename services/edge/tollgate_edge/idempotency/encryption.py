"""Encryption of stored responses, with a key that only the client can provide again.

Prompts and responses are never stored in plain text. The encryption key is derived from the API key and the client's
idempotency key. The system stores only hashes of both, so nobody can decrypt a response with the database alone.
"""

import hashlib
import hmac
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12
_KEY_BYTES = 32


class StoredResponse(msgspec.Struct, frozen=True):
    """A response as the client got it. `body` is None if it was too large to store."""

    status: int
    content_type: bytes
    request_id: str
    body: bytes | None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(StoredResponse)


class Seal:
    """The cipher for one idempotency key and one API key."""

    def __init__(self, account_id: str, api_key: bytes, idempotency_key: bytes) -> None:
        # The length separates the two parts, so that different pairs never give the same scope.
        scope = b"%d:%b%b" % (len(account_id), account_id.encode(), idempotency_key)
        self.claim_id = hashlib.sha256(scope).hexdigest()
        keys = HKDF(SHA256(), 2 * _KEY_BYTES, salt=None, info=b"tollgate idempotency " + scope).derive(api_key)
        self._sealing = AESGCM(keys[:_KEY_BYTES])
        self._naming = keys[_KEY_BYTES:]

    def fingerprint(self, path: str, body: bytes) -> str:
        """Return a keyed hash by which equal requests are detected. It reveals nothing without the keys."""
        return hmac.new(self._naming, path.encode() + b"\n" + body, hashlib.sha256).hexdigest()

    def close(self, answer: StoredResponse) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, _encode(answer), self.claim_id.encode())

    def open(self, sealed: bytes) -> StoredResponse | None:
        """Decrypt a stored response. Return None if it was encrypted with another API key."""
        try:
            plain = self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.claim_id.encode())
        except InvalidTag:
            return None
        return _decoder.decode(plain)
