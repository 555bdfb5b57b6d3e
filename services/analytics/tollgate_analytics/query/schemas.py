"""What the APIs answer."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.usage_query import Granularity
from tollgate_common.money import decimal_from_nano
from tollgate_common.rating import TokenCounts


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ApiKey(Answer):
    id: str
    name: str | None = Field(None, description="absent once the key is revoked")


class Consumption(Answer):
    input_tokens: int = Field(description="everything sent, the cached tokens included")
    cached_input_tokens: int = Field(description="of text, audio and images")
    cache_write_tokens: int
    input_audio_tokens: int = Field(description="without the cached ones")
    input_image_tokens: int = Field(description="without the cached ones")
    output_tokens: int = Field(description="everything generated, the reasoning tokens included")
    reasoning_tokens: int
    output_audio_tokens: int
    output_image_tokens: int
    total_tokens: int
    images: int = Field(description="generated; this and the next three are no tokens")
    audio_seconds: int
    characters: int
    searches: int
    cost_nano: int = Field(description="nano-units of the deployment's currency: 1 USD is 1000000000")
    cost: str = Field(description="the same, exactly, as a decimal number", examples=["0.001234"])


def consumption(tokens: TokenCounts, amount_nano: int) -> dict[str, int | str]:
    """The fields of `Consumption`, in the sense of OpenAI's usage: input with the cached, output with the reasoning."""
    return {
        "input_tokens": tokens.prompt,
        "cached_input_tokens": tokens.cached_input + tokens.cached_audio_input + tokens.cached_image_input,
        "cache_write_tokens": tokens.cache_write + tokens.cache_write_1h,
        "input_audio_tokens": tokens.audio_input,
        "input_image_tokens": tokens.image_input,
        "output_tokens": tokens.completion,
        "reasoning_tokens": tokens.reasoning,
        "output_audio_tokens": tokens.audio_output,
        "output_image_tokens": tokens.image_output,
        "total_tokens": tokens.total,
        "images": tokens.images,
        "audio_seconds": tokens.audio_seconds,
        "characters": tokens.characters,
        "searches": tokens.searches,
        "cost_nano": amount_nano,
        "cost": decimal_from_nano(amount_nano),
    }


class UsageTotal(Consumption):
    requests: int = Field(description="requests that ended, whatever came of them")
    errors: int = Field(description="those of them that ended with a status of 400 or more")
    attempts: int = Field(description="calls of providers, repeated ones included")
    estimated: int = Field(description="requests whose tokens the provider did not tell, so that they were counted")
    mean_latency_ms: float | None = Field(description="to the last byte; null without a request")
    mean_first_token_ms: float | None = Field(description="to the first byte of the answer; null without an answer")
    output_tokens_per_second: float | None = Field(description="output over the time that its requests took")


class Percentiles(Answer):
    p50: float
    p90: float
    p95: float
    p99: float


class UsageGroup(UsageTotal):
    time: datetime | None = Field(None, description="where the bucket begins; only with a granularity")
    other: bool | None = Field(None, description="true in the sum of the groups beyond `top`")
    model: str | None = Field(None, description="as the client named it; this and the next only if grouped by it")
    api_key: ApiKey | None = None
    project: str | None = None
    served_model: str | None = None
    provider: str | None = None
    endpoint: str | None = None
    stream: bool | None = None
    client: str | None = None
    status_class: str | None = None
    status: int | None = None
    outcome: str | None = None
    error_code: str | None = None
    finish_reason: str | None = None
    end_user: str | None = None
    latency_ms: Percentiles | None = Field(None, description="only with percentiles")
    first_token_ms: Percentiles | None = Field(None, description="only with percentiles; null without an answer")


class Period(Answer):
    start: datetime
    end: datetime
    data: list[UsageGroup]
    total: UsageTotal


class Usage(Period):
    group_by: tuple[Dimension, ...]
    granularity: Granularity | None
    time_zone: str
    next_cursor: str | None = Field(description="pass it as `cursor` for the groups that follow; null at the end")
    previous: Period | None = Field(None, description="the range of the same length before; only if compared")


class RequestEntry(Consumption):
    id: str
    time: datetime = Field(description="when it ended")
    opened_at: datetime
    model: str
    served_model: str
    provider: str
    endpoint: str
    stream: bool
    client: str
    end_user: str
    project: str
    api_key: ApiKey
    status: int
    outcome: str
    error_code: str
    finish_reason: str
    latency_ms: int
    first_token_ms: int | None
    attempts: int
    target: str = Field(description="the route's target that served, or was tried last")


class RequestPage(Answer):
    data: list[RequestEntry]
    next_cursor: str | None = Field(description="pass it as `cursor` for what came before; null at the end")


class CostLine(Answer):
    item: str = Field(description="a class of tokens or a unit, as price versions name them", examples=["cached_input"])
    quantity: int
    price_nano: int | None = Field(description="nano-units per million of them; null if `price_version` is long past")


class Attempt(Answer):
    target: str
    provider: str
    latency_ms: int
    status: int | None = Field(description="of the provider's answer; null if there was none")
    error_code: str
    served: bool = Field(description="whether the answer is this one's")


class Generation(Consumption):
    id: str
    state: str = Field(description="`open` while no end of it is known, then `closed`")
    opened_at: datetime | None
    closed_at: datetime | None
    model: str
    served_model: str
    provider: str
    endpoint: str
    stream: bool
    client: str
    end_user: str
    project: str
    api_key: ApiKey
    status: int | None
    outcome: str | None
    error_code: str
    finish_reason: str
    latency_ms: int | None
    first_token_ms: int | None
    attempts: list[Attempt] = Field(description="in order")
    cost_lines: list[CostLine] = Field(
        description="what was charged for: `cost_nano` is (sum of quantity × price_nano / 10^6 + request_nano) × "
        "multiplier_bps / 10^4, rounded half up once"
    )
    request_nano: int | None = Field(description="the price of the request itself; null as a line's price")
    tier_above_tokens: int | None = Field(description="the bound of the tier whose prices these are; 0 if it has none")
    multiplier_bps: int | None = Field(description="the plan's factor in basis points; null if it is long past")
    estimated: bool = Field(description="the provider told no usage, so that it was counted")
    price_version: str | None
    plan_version: str | None


class PartitionLag(Answer):
    topic: str
    partition: int
    lag: int = Field(description="events in the log that have no row yet")


class Freshness(Answer):
    newest: dict[str, datetime] = Field(description="by kind of event, of the whole table")
    lag: list[PartitionLag] = Field(description="of the partitions that the answering instance holds")
