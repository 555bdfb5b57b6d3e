"""What analytics reads from its environment."""

from pydantic import Field, SecretStr

from tollgate_common.settings import ServiceSettings


class AnalyticsSettings(ServiceSettings):
    clickhouse_url: SecretStr = Field(min_length=8, description="http://user:password@host:port/database")
