"""The ClickHouse server's environment."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once, in `main.py`."""

    model_config = SettingsConfigDict(env_prefix="TOLLGATE_CLICKHOUSE_", env_ignore_empty=True, frozen=True)

    data_path: Path = Field(description="folder of the data, used by one process at a time")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8123, ge=0, le=65_535, description="0 takes any free port and prints it")
    user: str = Field(default="default", min_length=1, description="the only user")
    password: SecretStr = Field(default=SecretStr(""), description="that user's password")
    workers: int = Field(default=8, ge=1, le=256, description="queries that run at the same time")
