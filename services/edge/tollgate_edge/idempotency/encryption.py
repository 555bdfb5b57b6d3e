"""What leaves the edge of an answer that is kept: sealed, with a key that nobody but the client brings back.

Prompts and answers are never stored in the clear. The sealing key comes from the API key's text, of which the system
keeps only a hash, and the client's idempotency key, of which it keeps only another: who has the whole database can open
nothing.
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
    """An answer as the client got it; `body` None if it was too large to keep."""

    status: int
    content_type: bytes
    request_id: str
    body: bytes | None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(StoredResponse)


class Seal:
    """Of one idempotency key, used by one API key."""

    def __init__(self, account_id: str, api_key: bytes, idempotency_key: bytes) -> None:
        # Lengths keep apart what would read the same put together.
        scope = b"%d:%b%b" % (len(account_id), account_id.encode(), idempotency_key)
        self.claim_id = hashlib.sha256(scope).hexdigest()
        keys = HKDF(SHA256(), 2 * _KEY_BYTES, salt=None, info=b"tollgate idempotency " + scope).derive(api_key)
        self._sealing = AESGCM(keys[:_KEY_BYTES])
        self._naming = keys[_KEY_BYTES:]

    def fingerprint(self, path: str, body: bytes) -> str:
        """Tells whether another request asks for the same, and without the keys nothing."""
        return hmac.new(self._naming, path.encode() + b"\n" + body, hashlib.sha256).hexdigest()

    def close(self, answer: StoredResponse) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, _encode(answer), self.claim_id.encode())

    def open(self, sealed: bytes) -> StoredResponse | None:
        """None if another API key sealed it."""
        try:
            plain = self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.claim_id.encode())
        except InvalidTag:
            return None
        return _decoder.decode(plain)
