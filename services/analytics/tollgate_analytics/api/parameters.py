"""The query parameters of the routes, as models that FastAPI validates and documents."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from tollgate_analytics.api.exports import FileFormat
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.parameters import DEFAULT_GROUPS, MAX_GROUPS, MAX_TOP

Values = Annotated[list[str], Field(description="select only these values; may be repeated")]


class FilterParameters(BaseModel):
    """One parameter for each dimension."""

    model: Values = []
    api_key: Values = []
    project: Values = []
    served_model: Values = []
    provider: Values = []
    endpoint: Values = []
    stream: Values = []
    client: Values = []
    status_class: Values = []
    status: Values = []
    outcome: Values = []
    error_code: Values = []
    finish_reason: Values = []
    end_user: Values = []

    def by_dimension(self) -> dict[Dimension, list[str]]:
        return {dimension: getattr(self, dimension) for dimension in Dimension}


class RangeParameters(FilterParameters):
    start: str | None = Field(None, description="RFC 3339; default 30 days before the end")
    end: str | None = Field(None, description="RFC 3339, exclusive; default now")


class UsageParameters(RangeParameters):
    group_by: list[str] = Field([], description=f"{', '.join(Dimension)}, or `none`; default `model,api_key`")
    granularity: str | None = Field(None, description="`minute`, `hour`, `day`, `week` or `month`; default totals")
    time_zone: str = Field("UTC", description="IANA name of the time zone in which days and hours begin")
    top: int = Field(0, ge=0, le=MAX_TOP, description="add up the groups beyond this many, by cost; 0 keeps all")
    compare: Literal["previous"] | None = Field(None, description="`previous` adds the range before, for comparison")
    percentiles: bool = Field(
        False, description="add percentiles of the latencies, which are read from single requests"
    )
    limit: int = Field(DEFAULT_GROUPS, ge=1, le=MAX_GROUPS)
    cursor: str | None = Field(None, description="`next_cursor` of the page before")


class RequestParameters(RangeParameters):
    start: str | None = Field(None, description="RFC 3339; default the first request")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, description="`next_cursor` of the page before")


class ExportParameters(RangeParameters):
    format: FileFormat = FileFormat.CSV
