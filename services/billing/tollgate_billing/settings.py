"""The billing service's environment."""

from pydantic import Field, SecretStr, field_validator

from tollgate_billing.genai import provider_ids
from tollgate_common.settings import ServiceSettings


class BillingSettings(ServiceSettings):
    postgres_dsn: SecretStr = Field(description="the catalogue's database, postgresql://user:password@host:port/name")
    clickhouse_url: SecretStr = Field(description="the charges' database, http://user:password@host:port/name")
    operator_token: SecretStr | None = Field(
        None, min_length=16, description="bearer secret of those who set prices; without it nobody can"
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
