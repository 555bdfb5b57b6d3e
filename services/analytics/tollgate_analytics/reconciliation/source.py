"""The table of request events as the reconciler sees it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient
from fastapi import FastAPI
from pydantic import AwareDatetime

from tollgate_analytics.retention.floor import find_retention_floor
from tollgate_analytics.rollup.usage_hours import find_rolled_up_until
from tollgate_analytics.statements import SQL
from tollgate_analytics.times import milliseconds
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.reconciliation import source
from tollgate_common.reconciliation.sink_source import SinkReconciliationSource, drifts_between
from tollgate_common.reconciliation.source import MAX_LISTED, Drift, KeptFrom, Sent, Unclosed, UnclosedRequests

_sent_decoder = msgspec.json.Decoder(dict[str, tuple[int, ...]])


class RequestReconciliationSource(SinkReconciliationSource):
    """`tollgate_common.reconciliation.source.ReconciliationSource`, and what only this table knows: heartbeats and
    unclosed requests."""

    def __init__(self, clickhouse: AsyncClient, brokers: Brokers, prefix: str, group: str) -> None:
        super().__init__(clickhouse, "request_events", brokers, prefix, group)

    async def sent(self, since: datetime) -> Sequence[Sent]:
        """What each boot says that it has sent, for boots with a heartbeat since `since`."""
        result = await self._clickhouse.query(SQL["heartbeats"], parameters={"since_ms": milliseconds(since)})
        return [Sent(boot_id=boot_id, sent=_sent_decoder.decode(sent)) for boot_id, sent in result.result_rows]

    async def kept(self) -> KeptFrom:
        """From when on the rows are kept."""
        return KeptFrom(rows_from=(await find_retention_floor(self._clickhouse)).rows_from)

    async def unclosed(self, start: datetime, end: datetime, partitions: Sequence[int]) -> UnclosedRequests:
        """Requests opened in `[start, end)` on these partitions of requests.v1 and never closed."""
        parameters = {
            "start_ms": milliseconds(start),
            "end_ms": milliseconds(end),
            "partitions": list(partitions),
            "limit": MAX_LISTED,
        }
        rows = (await self._clickhouse.query(SQL["unclosed"], parameters=parameters)).result_rows
        oldest = [
            Unclosed(
                request_id=request_id,
                account_id=account_id,
                partition=partition,
                boot_id=boot_id,
                opened_at=opened_at.replace(tzinfo=UTC),
                charged_nano=charged_nano,
            )
            for request_id, account_id, partition, boot_id, opened_at, charged_nano, _ in rows
        ]
        return UnclosedRequests(count=rows[0][-1] if rows else 0, oldest=tuple(oldest))

    async def drifts(self, since: datetime) -> Sequence[Drift]:
        """Where `usage_hours` does not say what the rows say that it was made of."""
        parameters = {
            "since_ms": milliseconds(since),
            "rolled_up_ms": milliseconds(await find_rolled_up_until(self._clickhouse)),
        }

        async def ask(statement: str) -> Sequence[Sequence[Any]]:
            return (await self._clickhouse.query(SQL[statement], parameters=parameters)).result_rows

        names = ("closed requests", "charged requests", "amount_nano")
        return await drifts_between(
            lambda: ask("reconciliation_hours"), lambda: ask("reconciliation_rows"), "usage_hours", names
        )


def add_routes(
    app: FastAPI, books: RequestReconciliationSource, token: str | None, tokens: Verifier | None = None
) -> None:
    """Serve reconcilers that show a service's token or the secret `token`."""
    router = source.create_router(token, tokens)

    @router.get("/sent")
    async def sent(since: AwareDatetime) -> Sequence[Sent]:
        return await books.sent(since)

    @router.get("/kept")
    async def kept() -> KeptFrom:
        return await books.kept()

    @router.post("/unclosed")
    async def unclosed(start: AwareDatetime, end: AwareDatetime, partitions: list[int]) -> UnclosedRequests:
        return await books.unclosed(start, end, partitions)

    app.include_router(router)
    source.add_routes(app, books, token, tokens)
