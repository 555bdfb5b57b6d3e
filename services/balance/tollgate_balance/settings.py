"""The environment of the balance service."""

from datetime import timedelta

from pydantic import Field, SecretStr

from tollgate_common.settings import ConsumerSettings


class BalanceSettings(ConsumerSettings):
    postgres_dsn: SecretStr = Field(description="PostgreSQL, postgresql://user:password@host:port/database")
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the secret that edges show to get leases; without it nobody gets one"
    )
    operator_token: SecretStr | None = Field(
        None, min_length=16, description="the secret that operators show to read any account; a token of theirs will do"
    )
    lease_s: float = Field(30, ge=1, le=3600, description="how long an edge may be silent before its leases are lost")

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_s)
