"""The reconciliation source of another service, over its internal API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from tollgate_common.auth.service_auth import ServiceCredential
from tollgate_common.errors import Retryable
from tollgate_common.reconciliation.source import (
    PATH,
    Boot,
    Digest,
    Drift,
    KeptFrom,
    Position,
    Range,
    Row,
    Sent,
    UnclosedRequests,
    WriteOffs,
)
from tollgate_common.topics import Topic

ResponseT = TypeVar("ResponseT")

_positions = TypeAdapter(list[Position])
_boots = TypeAdapter(list[Boot])
_digests = TypeAdapter(list[Digest])
_rows = TypeAdapter(list[Row])
_drifts = TypeAdapter(list[Drift])
_ranges = TypeAdapter(list[Range])
_sent = TypeAdapter(list[Sent])
_kept = TypeAdapter(KeptFrom)
_unclosed = TypeAdapter(UnclosedRequests)
_write_offs = TypeAdapter(WriteOffs)


class RemoteReconciliationSource:
    """The `ReconciliationSource` of a peer, with the routes that only some peers have.

    Every call raises `Retryable` if the peer is unavailable or its response is invalid.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, credential: ServiceCredential) -> None:
        self._http = http
        self._url = url.rstrip("/") + PATH
        self._credential = credential

    async def positions(self, topic: Topic) -> Sequence[Position]:
        return await self._ask(_positions, "GET", "positions", topic=topic.value)

    async def boots(self, topic: Topic, since: datetime) -> Sequence[Boot]:
        return await self._ask(_boots, "GET", "boots", topic=topic.value, since=since.isoformat())

    async def digests(self, topic: Topic, ranges: Sequence[Range]) -> Sequence[Digest]:
        body = _ranges.dump_json(list(ranges))
        return await self._ask(_digests, "POST", "digests", body, topic=topic.value)

    async def rows(self, topic: Topic, partition: int, start: int, end: int) -> Sequence[Row]:
        return await self._ask(_rows, "GET", "rows", topic=topic.value, partition=partition, start=start, end=end)

    async def drifts(self, since: datetime) -> Sequence[Drift]:
        return await self._ask(_drifts, "GET", "drifts", since=since.isoformat())

    async def sent(self, since: datetime) -> Sequence[Sent]:
        return await self._ask(_sent, "GET", "sent", since=since.isoformat())

    async def kept(self) -> KeptFrom:
        return await self._ask(_kept, "GET", "kept")

    async def unclosed(self, start: datetime, end: datetime, partitions: Sequence[int]) -> UnclosedRequests:
        body = TypeAdapter(list[int]).dump_json(list(partitions))
        return await self._ask(_unclosed, "POST", "unclosed", body, start=start.isoformat(), end=end.isoformat())

    async def write_offs(self, start: datetime, end: datetime) -> WriteOffs:
        return await self._ask(_write_offs, "GET", "write-offs", start=start.isoformat(), end=end.isoformat())

    async def _ask(
        self, shape: TypeAdapter[ResponseT], method: str, path: str, body: bytes | None = None, **query: Any
    ) -> ResponseT:
        url = f"{self._url}/{path}"
        headers = await self._credential.headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = await self._http.request(method, url, params=query, content=body, headers=headers)
            response.raise_for_status()
            return shape.validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            raise Retryable(f"the reconciliation source {url} is unavailable: {error}") from error
