"""All API keys in memory, by which a service authenticates customers."""

from datetime import datetime
from functools import lru_cache

from tollgate_common.auth import api_key as apikey
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, decode_key
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.compacted import CompactedTopic
from tollgate_common.topics import Topic


class KeyDirectory:
    def __init__(self, brokers: Brokers, prefix: str) -> None:
        self._keys: dict[str, KeyRecord] = {}
        self._by_id: dict[str, KeyRecord] = {}
        self.topic = CompactedTopic(brokers, Topic.KEYS.named(prefix), self._apply)

    def find(self, text: str, now: datetime | None = None) -> KeyRecord | None:
        """Return the record of a valid key by its text, or None."""
        key_hash = _hash_of(text)
        record = None if key_hash is None else self._keys.get(key_hash)
        if record is None or (record.expires_at is not None and record.expires_at <= (now or utc_now())):
            return None
        return record

    def find_id(self, key_id: str) -> KeyRecord | None:
        """Return the record of a key by its id, or None if it is revoked. For its name, not for authentication."""
        return self._by_id.get(key_id)

    def _apply(self, key_hash: str, value: bytes | None) -> None:
        record = None if value is None else decode_key(value)
        before = self._keys.pop(key_hash, None)
        if before is not None:
            self._by_id.pop(before.key_id, None)
        if record is not None:
            self._keys[key_hash] = self._by_id[record.key_id] = record


@lru_cache(maxsize=10_000)
def _hash_of(text: str) -> str | None:
    """Return the hash of a key, or None for a malformed key.

    Cached, because checksum and hash take much of the time of a request and keys repeat. Validity is not cached.
    """
    return apikey.hash_key(text) if apikey.is_well_formed(text) else None
