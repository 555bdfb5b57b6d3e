"""Authentication: the API key of a request is looked up in memory."""

from collections.abc import Mapping
from datetime import datetime

from tollgate_common.auth import api_key
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.events import KeyRecord
from tollgate_edge.http.errors import malformed_key, missing_key, not_ready, unknown_key

SCHEME = b"bearer "
_EMPTY = (b"", b"bearer")


def credentials(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the Authorization header, or an equivalent one made of `x-api-key`.

    Anthropic's SDKs send `x-api-key`, some of them beside an empty Authorization header.
    """
    authorization = headers.get(b"authorization", b"")
    key = headers.get(b"x-api-key")
    if key is None or authorization.strip().lower() not in _EMPTY:
        return authorization
    return b"Bearer " + key


def authenticate(keys: KeyDirectory, authorization: bytes, now: datetime) -> KeyRecord:
    """Return the record of the key in an Authorization header.

    Raises:
        ApiError: 401 if the header is missing or its key is malformed, unknown, expired or revoked; 503 until this edge
            has read all keys, because it would reject valid keys and accept revoked ones.
    """
    if keys.topic.waiting_for() is not None:
        raise not_ready()
    if authorization[: len(SCHEME)].lower() != SCHEME:
        raise missing_key()
    text = authorization[len(SCHEME) :].strip().decode("latin-1")
    record = keys.find(text, now)
    if record is None:
        raise unknown_key() if api_key.is_well_formed(text) else malformed_key()
    return record
