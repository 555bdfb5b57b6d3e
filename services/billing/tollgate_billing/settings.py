"""The billing service's environment."""

from pydantic import Field, SecretStr, field_validator

from tollgate_billing.catalog.genai_prices import provider_ids
from tollgate_common.settings import ConsumerSettings


class BillingSettings(ConsumerSettings):
    postgres_dsn: SecretStr = Field(description="the catalog's database, postgresql://user:password@host:port/name")
    clickhouse_url: SecretStr = Field(description="the charges' database, http://user:password@host:port/name")
    operator_token: SecretStr | None = Field(
        None, min_length=16, description="bearer secret of those who set prices; without it nobody can"
    )
    internal_token: SecretStr | None = Field(
        None,
        min_length=32,
        description="the secret that the reconciler shows to other services; without it none is made",
    )
    balance_url: str | None = Field(
        None, pattern="^https?://", description="where the reconciler finds the balance service"
    )
    analytics_url: str | None = Field(None, pattern="^https?://", description="where it finds the analytics service")
    reconciliation_interval_s: float = Field(
        30, ge=1, le=86_400, description="from the end of one reconciliation to the next one's begin"
    )
    reconciliation_days: float = Field(1, gt=0, le=3650, description="how far back the continuous reconciliation looks")
    abandoned_after_s: float = Field(
        900, ge=0, description="a request that is open for longer is listed as never closed"
    )
    price_providers: str = Field(
        "openai", description="providers whose models are imported from genai-prices, separated by commas"
    )

    @field_validator("price_providers")
    @classmethod
    def _known(cls, value: str) -> str:
        known = provider_ids()
        for name in value.split(","):
            if name not in known:
                raise ValueError(f"{name!r} is no provider of genai-prices; there are {', '.join(known)}")
        return value

    @property
    def price_provider_ids(self) -> list[str]:
        return self.price_providers.split(",")
