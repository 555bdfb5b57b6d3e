"""Who calls: the API key of a request, looked up in memory."""

from collections.abc import Mapping
from datetime import datetime

from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.events import KeyRecord
from tollgate_edge.http.errors import malformed_key, missing_key, starting, unknown_key

SCHEME = b"bearer "
_EMPTY = (b"", b"bearer")


def credentials(headers: Mapping[bytes, bytes]) -> bytes:
    """The Authorization header, or the key where Anthropic's SDKs put it, some of them beside an empty header."""
    authorization = headers.get(b"authorization", b"")
    key = headers.get(b"x-api-key")
    if key is None or authorization.strip().lower() not in _EMPTY:
        return authorization
    return b"Bearer " + key


def authenticate(keys: KeyDirectory, authorization: bytes, now: datetime) -> KeyRecord:
    """The record of the key in an Authorization header.

    Raises:
        ApiError: 401; the header is missing, holds no key, or a key that is not valid now. 503 while this edge has not
            read all keys: it would refuse good ones, and let in some that have been revoked.
    """
    if keys.topic.waiting_for() is not None:
        raise starting()
    if authorization[: len(SCHEME)].lower() != SCHEME:
        raise missing_key()
    text = authorization[len(SCHEME) :].strip().decode("latin-1")
    record = keys.find(text, now)
    if record is None:
        raise unknown_key() if apikey.is_well_formed(text) else malformed_key()
    return record
