"""The response bodies of the API."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.usage_query import Granularity
from tollgate_common.money import decimal_from_nano
from tollgate_common.rating import TokenCounts


class ResponseBody(BaseModel):
    model_config = ConfigDict(frozen=True)


class ApiKey(ResponseBody):
    id: str
    name: str | None = Field(None, description="absent once the key is revoked")


class Consumption(ResponseBody):
    input_tokens: int = Field(description="all tokens sent, including cached ones")
    cached_input_tokens: int = Field(description="cached tokens of text, audio and images")
    cache_write_tokens: int
    input_audio_tokens: int = Field(description="without cached tokens")
    input_image_tokens: int = Field(description="without cached tokens")
    output_tokens: int = Field(description="all tokens generated, including reasoning tokens")
    reasoning_tokens: int
    output_audio_tokens: int
    output_image_tokens: int
    total_tokens: int
    images: int = Field(description="generated images; this and the next three fields are not tokens")
    audio_seconds: int
    characters: int
    searches: int
    cost_nano: int = Field(description="billionths of the deployment's currency: $1 is 1000000000")
    cost: str = Field(description="the same amount as an exact decimal number", examples=["0.001234"])


def consumption(tokens: TokenCounts, amount_nano: int) -> dict[str, int | str]:
    """Return the fields of `Consumption`. As in OpenAI's usage, input includes cached and output includes reasoning."""
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
    requests: int = Field(description="requests that ended, with any outcome")
    errors: int = Field(description="requests that ended with a status of 400 or more")
    attempts: int = Field(description="requests sent to providers, including retries")
    estimated: int = Field(
        description="requests whose tokens the gateway counted, because the provider reported no usage"
    )
    mean_latency_ms: float | None = Field(description="mean time to the last byte; null without a request")
    mean_first_token_ms: float | None = Field(
        description="mean time to the first byte of the response; null without a response"
    )
    output_tokens_per_second: float | None = Field(
        description="output tokens divided by the duration of their requests"
    )


class Percentiles(ResponseBody):
    p50: float
    p90: float
    p95: float
    p99: float


class UsageGroup(UsageTotal):
    time: datetime | None = Field(None, description="beginning of the bucket; only with a granularity")
    other: bool | None = Field(None, description="true in the sum of the groups beyond `top`")
    model: str | None = Field(
        None, description="as the client named it; this and the next fields appear only if grouped by them"
    )
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
    first_token_ms: Percentiles | None = Field(None, description="only with percentiles; null without a response")


class Period(ResponseBody):
    start: datetime
    end: datetime
    data: list[UsageGroup]
    total: UsageTotal


class Usage(Period):
    group_by: tuple[Dimension, ...]
    granularity: Granularity | None
    time_zone: str
    next_cursor: str | None = Field(description="pass it as `cursor` for the next groups; null at the end")
    previous: Period | None = Field(None, description="the range of the same length before; only with `compare`")


class RequestEntry(Consumption):
    id: str
    time: datetime = Field(description="the time at which it ended")
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
    target: str = Field(description="the route's target that served the request, or was tried last")


class RequestPage(ResponseBody):
    data: list[RequestEntry]
    next_cursor: str | None = Field(description="pass it as `cursor` for older requests; null at the end")


class CostLine(ResponseBody):
    item: str = Field(description="a class of tokens or a unit, as price versions name them", examples=["cached_input"])
    quantity: int
    price_nano: int | None = Field(
        description="billionths of the currency per million units; null if `price_version` has expired"
    )


class Attempt(ResponseBody):
    target: str
    provider: str
    latency_ms: int
    status: int | None = Field(description="status of the provider's response; null if it sent none")
    error_code: str
    served: bool = Field(description="whether this attempt produced the response")


class Generation(Consumption):
    id: str
    state: str = Field(description="`open` until the request ends, then `closed`")
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
        description="the billed quantities: `cost_nano` is (sum of quantity × price_nano / 10^6 + request_nano) × "
        "multiplier_bps / 10^4, rounded half up once"
    )
    request_nano: int | None = Field(description="price of the request itself; null if `price_version` has expired")
    tier_above_tokens: int | None = Field(
        description="lower bound of the price tier that applied; 0 for the base prices"
    )
    multiplier_bps: int | None = Field(
        description="the plan's factor in basis points; null if `plan_version` has expired"
    )
    estimated: bool = Field(
        description="whether the gateway counted the tokens, because the provider reported no usage"
    )
    price_version: str | None
    plan_version: str | None


class PartitionLag(ResponseBody):
    topic: str
    partition: int
    lag: int = Field(description="events in the log that have no row yet")


class Freshness(ResponseBody):
    newest: dict[str, datetime] = Field(description="time of the newest event of each kind, over all accounts")
    lag: list[PartitionLag] = Field(description="lag of the partitions that this instance consumes")
