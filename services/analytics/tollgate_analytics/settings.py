"""What analytics reads from its environment."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from tollgate_common.settings import ConsumerSettings

# The log keeps usage for 30 days, and a record of then may be of a boot that began nine days before; and room.
MIN_RAW_DAYS = 60


class AnalyticsSettings(ConsumerSettings):
    clickhouse_url: SecretStr = Field(min_length=8, description="http://user:password@host:port/database")
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the secret that the reconciler shows; without it nobody can reconcile"
    )
    operator_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="the secret that operators show; without it only their access tokens let them in",
    )
    analytics_raw_days: int = Field(
        400, ge=0, description="days that single requests are kept after their month; 0 is for ever, else 60 at least"
    )
    analytics_hourly_days: int = Field(
        1130,
        ge=0,
        validate_default=True,
        description="days that sums by hour are kept after their month, before they become sums by day; 0 is for ever",
    )

    @field_validator("analytics_raw_days")
    @classmethod
    def _outlives_the_log(cls, days: int) -> int:
        if 0 < days < MIN_RAW_DAYS:
            raise ValueError(
                f"expected 0 (for ever) or at least {MIN_RAW_DAYS}: by the rows, the sink knows what it has seen of "
                "all that may still be in the log"
            )
        return days

    @field_validator("analytics_hourly_days")
    @classmethod
    def _outlive_the_rows(cls, days: int, info: ValidationInfo) -> int:
        raw = info.data.get("analytics_raw_days", 0)
        if days and (not raw or days < raw):
            raise ValueError(
                "expected 0 (for ever) or as many as TOLLGATE_ANALYTICS_RAW_DAYS at least, which is "
                f"{raw or '0 (for ever)'}: the rows are proven by the sums before they go"
            )
        return days
