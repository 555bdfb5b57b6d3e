"""Consume credits.v1: post grants and adjustments to the ledger.

Guarantee: at-least-once delivery and exactly-once effect, because the ledger accepts each grant and adjustment once by
its id. An offset is committed after the transaction of its record.
Crash window: between the two. The record is read again, and its id makes the second one a no-op; the same holds when
its partition has moved to another instance.
"""

import psycopg
from prometheus_client import Counter

from tollgate_balance.credits.handlers import adjust_credit, grant_credit
from tollgate_common.errors import Poison
from tollgate_common.events import CreditAdjusted, CreditEvent, CreditGranted, decode_credit
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.consumer import SESSION_TIMEOUT_MS, Batches
from tollgate_common.kafka.dead_letters import DeadLetters
from tollgate_common.kafka.faststream import FastStreamConsumer
from tollgate_common.postgres.connection import Pool

CREDITS = Counter("tollgate_balance_credits", "Grants and adjustments handled, repetitions included.")


def create_consumer(
    brokers: Brokers,
    group: str,
    topic: str,
    pool: Pool,
    dead_letters: DeadLetters,
    *,
    session_timeout_ms: int = SESSION_TIMEOUT_MS,
) -> FastStreamConsumer:
    return FastStreamConsumer(
        brokers,
        group,
        [topic],
        CreditHandler(pool).handle,
        transient=(psycopg.OperationalError,),
        dead_letters=dead_letters,
        session_timeout_ms=session_timeout_ms,
    )


class CreditHandler:
    """Makes the effect of one record durable; see the module for its guarantee."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle(self, batches: Batches) -> None:
        for records in batches.values():
            for record in records:
                try:
                    await self._store(decode_credit(record.value or b""))
                except Poison:
                    CREDITS.inc()
                    raise
                CREDITS.inc()

    async def _store(self, event: CreditEvent) -> None:
        match event:
            case CreditGranted():
                await grant_credit(self._pool, event)
            case CreditAdjusted():
                await adjust_credit(self._pool, event)
