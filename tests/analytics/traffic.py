"""Random traffic, as edges would report it, and a recount of it in plain Python."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from tollgate_analytics.rows import AnyEvent
from tollgate_common.clock import utc_now
from tollgate_common.events import (
    EdgeHeartbeat,
    LeaseClosed,
    Outcome,
    RequestClosed,
    RequestDimensions,
    RequestOpened,
    TokensUsed,
    Void,
    encode,
)
from tollgate_common.ids import new_id
from tollgate_common.rating import TokenCounts
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, partition_for

PARTITIONS = 2
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet", "odd \"model', {name:String} \\ ünïcode")


def seeded(seed: int) -> random.Random:
    return random.Random(seed)


class Sent(NamedTuple):
    topic: Topic
    event: AnyEvent

    @property
    def key(self) -> str:
        request = getattr(self.event, "request", None)
        account_id = request.account_id if request else getattr(self.event, "account_id", None)
        return str(account_id or self.event.stamp.boot_id)


@dataclass
class Edge:
    """One edge process: stamps what it sends with its boot's dense sequence."""

    chance: random.Random
    boot_id: str = field(default_factory=new_id)
    next_seq: dict[tuple[Topic, int], int] = field(default_factory=lambda: defaultdict(int))

    def send(self, topic: Topic, key: str, make: Callable[[Stamp], AnyEvent]) -> Sent:
        partition = partition_for(key, PARTITIONS)
        stamp = Stamp(self.boot_id, partition, self.next_seq[topic, partition])
        self.next_seq[topic, partition] += 1
        return Sent(topic, make(stamp))

    def request(self, account_id: str, key_id: str, opened_at: datetime) -> Iterator[Sent]:
        """The events of one request: some are refused and use nothing, some use each class of token."""
        chance = self.chance
        request = RequestDimensions(
            request_id=new_id(),
            account_id=account_id,
            key_id=key_id,
            endpoint="/v1/chat/completions",
            model=chance.choice(MODELS),
            provider="simulated",
            stream=chance.random() < 0.5,
            client="openai-python/3.54.0",
        )
        latency_ms = chance.randrange(5_000)
        closed_at = opened_at + timedelta(milliseconds=latency_ms)
        outcome = chance.choice(list(Outcome))
        yield self.send(
            Topic.REQUESTS, account_id, lambda stamp: RequestOpened(stamp=stamp, at=opened_at, request=request)
        )
        if outcome is not Outcome.REFUSED:
            tokens = TokenCounts(*(chance.choice((0, chance.randrange(10_000))) for _ in range(8)))
            amount_nano = chance.randrange(10**12)
            yield self.send(
                Topic.USAGE,
                account_id,
                lambda stamp: TokensUsed(
                    stamp=stamp,
                    at=closed_at - timedelta(milliseconds=min(latency_ms, 3)),
                    request=request,
                    tokens=tokens,
                    amount_nano=amount_nano,
                    price_version="p1",
                    plan_version="standard@1",
                    outcome=outcome,
                ),
            )
        yield self.send(
            Topic.REQUESTS,
            account_id,
            lambda stamp: RequestClosed(
                stamp=stamp,
                at=closed_at,
                request=request,
                outcome=outcome,
                status=429 if outcome is Outcome.REFUSED else 200,
                opened_at=opened_at,
                latency_ms=latency_ms,
                first_token_ms=None if outcome is Outcome.REFUSED else latency_ms // 2,
            ),
        )

    def others(self, account_id: str, at: datetime) -> Iterator[Sent]:
        """Events that no report counts, but that take a seq."""
        yield self.send(
            Topic.REQUESTS, self.boot_id, lambda stamp: EdgeHeartbeat(stamp=stamp, at=at, edge="edge-1", sent={})
        )
        yield self.send(
            Topic.USAGE,
            account_id,
            lambda stamp: LeaseClosed(stamp=stamp, at=at, account_id=account_id, lease_id=new_id(), spent_nano=1),
        )
        yield self.send(
            Topic.USAGE, account_id, lambda stamp: Void(stamp=stamp, at=at, account_id=account_id, reason="not sent")
        )


def traffic(seed: int, requests: int, accounts: Sequence[str], days: float = 3.0) -> list[Sent]:
    """Requests of several edges within the last days, two keys an account."""
    chance = seeded(seed)
    edges = [Edge(chance) for _ in range(2)]
    now = utc_now()
    sent: list[Sent] = []
    for _ in range(requests):
        edge, account_id = chance.choice(edges), chance.choice(accounts)
        at = now - timedelta(milliseconds=chance.randrange(int(days * 86_400_000)))
        sent.extend(edge.request(account_id, f"{account_id}-key-{chance.randrange(2)}", at))
        if chance.random() < 0.05:
            sent.extend(edge.others(account_id, at))
    return sent


async def produce(producer: AIOKafkaProducer, prefix: str, sent: Sequence[Sent]) -> None:
    for message in sent:
        await producer.send(
            message.topic.named(prefix),
            encode(message.event),
            message.key.encode(),
            partition=message.event.stamp.partition,
        )
    await producer.flush()


Group = tuple[str | None, str | None, str | None]
SUMS = (
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "cost_nano",
)


def recount(
    sent: Sequence[Sent],
    account_id: str,
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str] = ("model", "api_key"),
    granularity: str | None = None,
    models: Sequence[str] = (),
    api_keys: Sequence[str] = (),
) -> dict[Group, dict[str, int]]:
    """What GET /v1/usage should answer: sums by (time, model, key)."""
    groups: dict[Group, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for _, event in sent:
        if not isinstance(event, RequestClosed | TokensUsed):
            continue
        request = event.request
        if request.account_id != account_id or not start <= event.at < end:
            continue
        if (models and request.model not in models) or (api_keys and request.key_id not in api_keys):
            continue
        group = groups[
            _bucket(event.at, granularity),
            request.model if "model" in group_by else None,
            request.key_id if "api_key" in group_by else None,
        ]
        if isinstance(event, RequestClosed):
            group["requests"] += 1
        else:
            tokens = event.tokens
            prompt = tokens.input + tokens.cached_input + tokens.cache_write + tokens.audio_input + tokens.image_input
            completion = tokens.output + tokens.reasoning + tokens.audio_output
            group["input_tokens"] += prompt
            group["cached_input_tokens"] += tokens.cached_input
            group["output_tokens"] += completion
            group["reasoning_tokens"] += tokens.reasoning
            group["total_tokens"] += prompt + completion
            group["cost_nano"] += event.amount_nano
    return dict(groups)


def _bucket(at: datetime, granularity: str | None) -> str | None:
    if granularity is None:
        return None
    at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return (at if granularity == "hour" else at.replace(hour=0)).isoformat().replace("+00:00", "Z")


def groups_of(answer: dict[str, Any]) -> dict[Group, dict[str, int]]:
    """An answer of GET /v1/usage in the shape of `recount`."""
    return {
        (row.get("time"), row.get("model"), row.get("api_key", {}).get("id")): {name: row[name] for name in SUMS}
        for row in answer["data"]
    }
