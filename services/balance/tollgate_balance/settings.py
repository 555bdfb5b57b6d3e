"""The environment of the balance service."""

from pydantic import Field, SecretStr

from tollgate_common.settings import ServiceSettings


class BalanceSettings(ServiceSettings):
    postgres_dsn: SecretStr = Field(description="PostgreSQL, postgresql://user:password@host:port/database")
