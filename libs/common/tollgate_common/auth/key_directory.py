"""Every API key that is valid now, in memory: what a service needs to know who calls."""

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
        """The record of a key that is valid now, by the key's text; None for any other."""
        key_hash = _hash_of(text)
        record = None if key_hash is None else self._keys.get(key_hash)
        if record is None or (record.expires_at is not None and record.expires_at <= (now or utc_now())):
            return None
        return record

    def find_id(self, key_id: str) -> KeyRecord | None:
        """The record of a key that has not been revoked, by its id: for its name, not to let anyone in."""
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
    """The hash of a key, None for what is none. Cached, because checksum and hash are much of what a caller costs, and
    the same keys come again; whether a key is valid is asked each time."""
    return apikey.hash_key(text) if apikey.is_well_formed(text) else None
