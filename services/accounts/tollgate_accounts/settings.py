"""What the accounts service reads from the environment."""

from pydantic import Field, SecretStr

from tollgate_common.settings import ServiceSettings


class AccountsSettings(ServiceSettings):
    postgres_dsn: SecretStr = Field(description="the accounts database, postgresql://user:password@host:port/database")
    signing_secret: SecretStr | None = Field(
        None, min_length=32, description="encrypts the keys that sign access tokens; without it none are given"
    )
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the secret that services show for a token of their own"
    )
    operator_token: SecretStr | None = Field(
        None, min_length=16, description="bearer secret of operators; without it only persons who are operators are"
    )
