"""The simulated provider's environment."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once, in `__main__`."""

    model_config = SettingsConfigDict(env_prefix="TOLLGATE_PROVIDER_", env_ignore_empty=True, frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, le=65_535, description="0 takes any free port and prints it")
    api_key: SecretStr | None = Field(default=None, description="callers must present it when it is set")
    journal: Path | None = Field(default=None, description="one JSON line per generation is appended here")
