"""What the accounts service reads from the environment."""

from pydantic import Field, SecretStr

from tollgate_common.settings import ServiceSettings


class AccountsSettings(ServiceSettings):
    postgres_dsn: SecretStr = Field(description="the accounts database, postgresql://user:password@host:port/database")
