"""Random traffic, as edges would report it, and a recount of it in plain Python."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tollgate_analytics.ingest.rows import AnyEvent
from tollgate_common.clock import utc_now
from tollgate_common.events import (
    EdgeHeartbeat,
    FailedAttempt,
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
from tollgate_common.kafka.clients import KafkaProducer
from tollgate_common.rating import TokenCounts
from tollgate_common.sequence import Stamp
from tollgate_common.topics import Topic, partition_for

PARTITIONS = 2
OK = 200
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
            provider=chance.choice(("simulated", "other")),
            served_model=chance.choice(("m-2026-01", "m-2026-02")),
            stream=chance.random() < 0.5,
            project_id=f"{account_id}-project-{key_id[-1]}",
            end_user=chance.choice(("", "user-1", "user-2")),
            client=chance.choice(("openai-python/3.54.0", "curl/8.5.0")),
        )
        latency_ms = chance.randrange(5_000)
        closed_at = opened_at + timedelta(milliseconds=latency_ms)
        outcome = chance.choice(list(Outcome))
        # Broken answers of either kind: a stream's status had been sent before it broke.
        status = {Outcome.REFUSED: 429, Outcome.BROKEN: chance.choice((200, 502))}.get(outcome, 200)
        error_code = "" if status == OK else "rate_limit_exceeded"
        finish_reason = chance.choice(("stop", "length")) if outcome is Outcome.COMPLETED else ""
        failed = tuple(
            FailedAttempt(target="second", provider="other", latency_ms=9, status=503)
            for _ in range(chance.choice((0, 0, 1, 2)))
        )
        yield self.send(
            Topic.REQUESTS, account_id, lambda stamp: RequestOpened(stamp=stamp, at=opened_at, request=request)
        )
        if outcome is not Outcome.REFUSED:
            tokens = TokenCounts(*(chance.choice((0, chance.randrange(10_000))) for _ in TokenCounts.__struct_fields__))
            amount_nano = chance.randrange(10**12)
            provider_cost_nano = chance.choice((None, chance.randrange(10**12)))
            yield self.send(
                Topic.USAGE,
                account_id,
                lambda stamp: TokensUsed(
                    stamp=stamp,
                    at=closed_at,
                    request=request,
                    tokens=tokens,
                    amount_nano=amount_nano,
                    price_version="p1",
                    plan_version="standard@1",
                    outcome=outcome,
                    status=status,
                    error_code=error_code,
                    finish_reason=finish_reason,
                    provider_cost_nano=provider_cost_nano,
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
                status=status,
                error_code=error_code,
                finish_reason=finish_reason,
                attempts=1 + len(failed),
                target="first",
                failed_attempts=failed,
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


async def produce(producer: KafkaProducer, prefix: str, sent: Sequence[Sent]) -> None:
    for message in sent:
        await producer.send(
            message.topic.named(prefix),
            encode(message.event),
            message.key.encode(),
            partition=message.event.stamp.partition,
        )
    await producer.flush()


Group = tuple[str | None, ...]
"""The bucket's beginning, and the values of what it was grouped by."""
SUMS = (
    "requests",
    "errors",
    "attempts",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "images",
    "searches",
    "cost_nano",
)
VALUE: dict[str, Callable[[RequestClosed | TokensUsed], str]] = {
    "model": lambda event: event.request.model,
    "api_key": lambda event: event.request.key_id,
    "project": lambda event: event.request.project_id,
    "served_model": lambda event: event.request.served_model,
    "provider": lambda event: event.request.provider,
    "endpoint": lambda event: event.request.endpoint,
    "stream": lambda event: str(event.request.stream).lower(),
    "client": lambda event: event.request.client,
    "status_class": lambda event: f"{event.status // 100}xx",
    "status": lambda event: str(event.status),
    "outcome": lambda event: event.outcome.value,
    "error_code": lambda event: event.error_code,
    "finish_reason": lambda event: event.finish_reason,
    "end_user": lambda event: event.request.end_user,
}


def counted(sent: Sequence[Sent], account_id: str, start: datetime, end: datetime) -> list[RequestClosed | TokensUsed]:
    return [
        event
        for _, event in sent
        if isinstance(event, RequestClosed | TokensUsed)
        and event.request.account_id == account_id
        and start <= event.at < end
    ]


def recount(
    sent: Sequence[Sent],
    account_id: str,
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str] = ("model", "api_key"),
    granularity: str | None = None,
    time_zone: str = "UTC",
    filters: Mapping[str, Sequence[str]] | None = None,
) -> dict[Group, dict[str, int]]:
    """What GET /v1/usage should answer: sums by time and group."""
    groups: dict[Group, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for event in counted(sent, account_id, start, end):
        if any(VALUE[name](event) not in values for name, values in (filters or {}).items()):
            continue
        values = (VALUE[name](event) for name in group_by)
        group = groups[_bucket(event.at, granularity, time_zone), *values]
        if isinstance(event, RequestClosed):
            group["requests"] += 1
            group["errors"] += event.status >= 400
            group["attempts"] += event.attempts
        else:
            add_tokens(group, event.tokens)
            group["cost_nano"] += event.amount_nano
    return dict(groups)


def add_tokens(group: dict[str, int], tokens: TokenCounts) -> None:
    cached = tokens.cached_input + tokens.cached_audio_input + tokens.cached_image_input
    written = tokens.cache_write + tokens.cache_write_1h
    prompt = tokens.input + cached + written + tokens.audio_input + tokens.image_input
    completion = tokens.output + tokens.reasoning + tokens.audio_output + tokens.image_output
    group["input_tokens"] += prompt
    group["cached_input_tokens"] += cached
    group["cache_write_tokens"] += written
    group["output_tokens"] += completion
    group["reasoning_tokens"] += tokens.reasoning
    group["total_tokens"] += prompt + completion
    group["images"] += tokens.images
    group["searches"] += tokens.searches


def _bucket(at: datetime, granularity: str | None, time_zone: str) -> str | None:
    if granularity is None:
        return None
    local = at.astimezone(ZoneInfo(time_zone)).replace(second=0, microsecond=0)
    match granularity:
        case "hour":
            local = local.replace(minute=0)
        case "day":
            local = local.replace(minute=0, hour=0)
        case "week":
            local = (local - timedelta(days=local.weekday())).replace(minute=0, hour=0)
        case "month":
            local = local.replace(minute=0, hour=0, day=1)
    return local.astimezone(UTC).isoformat().replace("+00:00", "Z")


def groups_of(answer: dict[str, Any], group_by: Sequence[str] = ("model", "api_key")) -> dict[Group, dict[str, int]]:
    """An answer of GET /v1/usage in the shape of `recount`."""
    return {
        (row.get("time"), *(_text(row[name]) for name in group_by)): {name: row[name] for name in SUMS}
        for row in answer["data"]
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["id"])
    return str(value).lower() if isinstance(value, bool) else str(value)
