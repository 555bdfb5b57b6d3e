"""The settings of the analytics service."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from tollgate_common.settings import ConsumerSettings

# The log retains usage for 30 days, and a record may belong to a boot that began nine days earlier; plus a margin.
MIN_RAW_DAYS = 60


class AnalyticsSettings(ConsumerSettings):
    clickhouse_url: SecretStr = Field(min_length=8, description="http://user:password@host:port/database")
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the secret that the reconciler shows; without it nobody can reconcile"
    )
    operator_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="the secret of operators; without it they need an access token",
    )
    analytics_raw_days: int = Field(
        400,
        ge=0,
        description="days that requests are retained after their month ends; 0 is forever, otherwise at least 60",
    )
    analytics_hourly_days: int = Field(
        1130,
        ge=0,
        validate_default=True,
        description="days that sums by hour are retained after their month ends, then become sums by day; 0 is forever",
    )

    @field_validator("analytics_raw_days")
    @classmethod
    def _outlives_the_log(cls, days: int) -> int:
        if 0 < days < MIN_RAW_DAYS:
            raise ValueError(
                f"expected 0 (forever) or at least {MIN_RAW_DAYS}: the sink deduplicates by rows, which must outlast "
                "all events that may still be in the log"
            )
        return days

    @field_validator("analytics_hourly_days")
    @classmethod
    def _outlive_the_rows(cls, days: int, info: ValidationInfo) -> int:
        raw = info.data.get("analytics_raw_days", 0)
        if days and (not raw or days < raw):
            raise ValueError(
                "expected 0 (forever) or at least TOLLGATE_ANALYTICS_RAW_DAYS, which is "
                f"{raw or '0 (forever)'}: the sums verify the rows before the rows are dropped"
            )
        return days
