"""What analytics reads from its environment."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from tollgate_common.settings import ENV_PREFIX, ConsumerSettings


class AnalyticsSettings(ConsumerSettings):
    # A variable that is set but empty, as compose files make them, is one that is not set.
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    clickhouse_url: SecretStr = Field(min_length=8, description="http://user:password@host:port/database")
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the secret that the auditor shows; without it nobody can audit"
    )
    operator_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="the secret that operators show; without it only their access tokens let them in",
    )
