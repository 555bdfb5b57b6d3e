"""Events of usage.v1 as an edge would send them: stamped, rated, in the account's partition."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tollgate_common.clock import utc_now
from tollgate_common.events import (
    LeaseClosed,
    ModelRecord,
    Outcome,
    RequestDimensions,
    TokensUsed,
    UsageEvent,
    Void,
    encode,
)
from tollgate_common.ids import new_id
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.rating import TokenCounts, rate
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, partition_for

PARTITIONS = 3
PLAN_VERSION = "standard@1"


class Edge:
    """One boot of an edge: counts its events partition by partition."""

    def __init__(self, producer: KafkaProducer, prefix: str, seed: int = 1) -> None:
        self._producer = producer
        self._topic = Topic.USAGE.named(prefix)
        self._boot_id = new_id()
        self._next_seq = [0] * PARTITIONS
        self._chance = random.Random(seed)

    def stamp(self, account_id: str) -> Stamp:
        partition = partition_for(account_id, PARTITIONS)
        self._next_seq[partition] += 1
        return Stamp(self._boot_id, partition, self._next_seq[partition] - 1)

    def used(self, account_id: str, model: ModelRecord, at: datetime | None = None, **changes: Any) -> TokensUsed:
        """A request of random size, charged as the model's first version says unless `changes` say otherwise."""
        chance = self._chance
        version = model.versions[0]
        tokens = TokenCounts(
            input=chance.randrange(1, 5_000),
            cached_input=chance.choice((0, 128, 1_024)),
            output=chance.randrange(0, 3_000),
            reasoning=chance.choice((0, 64)),
        )
        event = TokensUsed(
            stamp=self.stamp(account_id),
            at=at or utc_now() - timedelta(milliseconds=chance.randrange(86_400_000)),
            request=RequestDimensions(
                request_id=new_id(),
                account_id=account_id,
                key_id=f"key of {account_id}",
                endpoint="/v1/chat/completions",
                model=model.model,
                served_model=f"{model.model}-snapshot",
                provider=model.provider,
                stream=chance.random() < 0.5,
            ),
            tokens=tokens,
            amount_nano=rate(tokens, version.prices).amount_nano,
            price_version=version.price_version,
            plan_version=PLAN_VERSION,
            outcome=chance.choice((Outcome.COMPLETED, Outcome.CANCELLED)),
            finish_reason="stop",
            estimated=chance.random() < 0.1,
        )
        return msgspec.structs.replace(event, **changes)

    def lease_closed(self, account_id: str) -> LeaseClosed:
        return LeaseClosed(
            stamp=self.stamp(account_id), at=utc_now(), account_id=account_id, lease_id=new_id(), spent_nano=7
        )

    def void(self, account_id: str) -> Void:
        return Void(stamp=self.stamp(account_id), at=utc_now(), account_id=account_id, reason="too large")

    async def send(self, *events: UsageEvent | bytes, partition: int = 0) -> None:
        """Each event in its stamped partition, raw bytes in the one that is named."""
        for event in events:
            if isinstance(event, bytes):
                await self._producer.send(self._topic, event, partition=partition)
            else:
                await self._producer.send(self._topic, encode(event), partition=event.stamp.partition)
        await self._producer.flush()


def charged(events: Sequence[UsageEvent]) -> list[TokensUsed]:
    return [event for event in events if isinstance(event, TokensUsed)]
