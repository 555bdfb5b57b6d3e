"""The environment of the balance service."""

from datetime import timedelta

from pydantic import Field, SecretStr

from tollgate_common.settings import ConsumerSettings


class BalanceSettings(ConsumerSettings):
    postgres_dsn: SecretStr = Field(description="PostgreSQL, postgresql://user:password@host:port/database")
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the secret that edges present to get leases; without it no edge gets a lease"
    )
    operator_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="the secret that operators present to read any account; their access tokens work without it",
    )
    lease_s: float = Field(
        30, ge=1, le=3600, description="seconds without renewal after which an edge is fenced and loses its leases"
    )

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_s)
