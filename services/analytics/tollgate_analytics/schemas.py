"""What the APIs answer."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from tollgate_analytics.queries import Dimension, Granularity
from tollgate_common.money import decimal_from_nano
from tollgate_common.rating import TokenCounts


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ApiKey(Answer):
    id: str
    name: str | None = Field(None, description="absent once the key is revoked")


class Consumption(Answer):
    input_tokens: int = Field(description="everything sent, the cached tokens included")
    cached_input_tokens: int
    output_tokens: int = Field(description="everything generated, the reasoning tokens included")
    reasoning_tokens: int
    total_tokens: int
    cost_nano: int = Field(description="nano-units of the deployment's currency: 1 USD is 1000000000")
    cost: str = Field(description="the same, exactly, as a decimal number", examples=["0.001234"])


def consumption(tokens: TokenCounts, amount_nano: int) -> dict[str, int | str]:
    """The fields of `Consumption`, in the sense of OpenAI's usage: input with the cached, output with the reasoning."""
    return {
        "input_tokens": tokens.prompt,
        "cached_input_tokens": tokens.cached_input,
        "output_tokens": tokens.completion,
        "reasoning_tokens": tokens.reasoning,
        "total_tokens": tokens.total,
        "cost_nano": amount_nano,
        "cost": decimal_from_nano(amount_nano),
    }


class UsageTotal(Consumption):
    requests: int = Field(description="requests that ended, whatever came of them")


class UsageGroup(UsageTotal):
    time: datetime | None = Field(None, description="where the hour or day begins; only with a granularity")
    model: str | None = Field(None, description="as the client named it; only if grouped by it")
    api_key: ApiKey | None = Field(None, description="only if grouped by it")


class Usage(Answer):
    start: datetime
    end: datetime
    group_by: tuple[Dimension, ...]
    granularity: Granularity | None
    data: list[UsageGroup]
    total: UsageTotal


class RequestEntry(Consumption):
    id: str
    time: datetime = Field(description="when it ended")
    opened_at: datetime
    model: str
    served_model: str
    provider: str
    endpoint: str
    stream: bool
    api_key: ApiKey
    status: int
    outcome: str
    error_code: str
    finish_reason: str
    latency_ms: int
    first_token_ms: int | None


class RequestPage(Answer):
    data: list[RequestEntry]
    next_cursor: str | None = Field(description="pass it as `cursor` for what came before; null at the end")


class PartitionLag(Answer):
    topic: str
    partition: int
    lag: int = Field(description="events in the log that have no row yet")


class Freshness(Answer):
    newest: dict[str, datetime] = Field(description="by kind of event, of the whole table")
    lag: list[PartitionLag] = Field(description="of the partitions that the answering instance holds")
