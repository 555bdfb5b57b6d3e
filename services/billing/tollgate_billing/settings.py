"""The environment of the billing service."""

from pydantic import Field, SecretStr, field_validator

from tollgate_billing.catalog.genai_prices import provider_ids
from tollgate_common.settings import ConsumerSettings


class BillingSettings(ConsumerSettings):
    postgres_dsn: SecretStr = Field(description="the catalog's database, postgresql://user:password@host:port/name")
    clickhouse_url: SecretStr = Field(description="the charges' database, http://user:password@host:port/name")
    operator_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="the secret that operators present to change the catalog; their access tokens work without it",
    )
    internal_token: SecretStr | None = Field(
        None,
        min_length=32,
        description="the secret that billing presents to other services; reconciliation needs it",
    )
    balance_url: str | None = Field(
        None, pattern="^https?://", description="the address of the balance service; reconciliation needs it"
    )
    analytics_url: str | None = Field(
        None, pattern="^https?://", description="the address of the analytics service; reconciliation needs it"
    )
    reconciliation_interval_s: float = Field(
        30, ge=1, le=86_400, description="seconds from the end of one reconciliation to the start of the next"
    )
    reconciliation_days: float = Field(1, gt=0, le=3650, description="days that the continuous reconciliation covers")
    abandoned_after_s: float = Field(900, ge=0, description="seconds after which an open request counts as abandoned")
    price_providers: str = Field(
        "openai", description="providers whose models are imported from genai-prices, separated by commas"
    )

    @field_validator("price_providers")
    @classmethod
    def _known(cls, value: str) -> str:
        known = provider_ids()
        for name in value.split(","):
            if name not in known:
                raise ValueError(f"{name!r} is not a provider of genai-prices; expected one of {', '.join(known)}")
        return value

    @property
    def price_provider_ids(self) -> list[str]:
        return self.price_providers.split(",")
