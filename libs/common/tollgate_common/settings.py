"""A service's settings: one frozen class, read once from the environment in `main.py`."""

import sys
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tollgate_common.brokers import Brokers
from tollgate_common.crash_points import CrashPoint

ENV_PREFIX = "TOLLGATE_"


class Environment(BaseSettings):
    """`kafka_bootstrap` is read from `TOLLGATE_KAFKA_BOOTSTRAP`, and so on."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")


class Settings(Environment):
    """What everything that uses the log needs."""

    kafka_bootstrap: str = Field(min_length=3, description="brokers, host:port, separated by commas")
    topic_prefix: str = Field("tollgate", pattern=r"^[a-z0-9-]+$", description="first part of each topic's name")

    @property
    def brokers(self) -> Brokers:
        return Brokers(self.kafka_bootstrap)


class ServerSettings(Environment):
    """What everything that answers over HTTP needs."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(ge=1, le=65535, description="port to listen on")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    crash_at: CrashPoint | None = Field(None, description="for tests alone: the point at which the process dies")


class ServiceSettings(Settings, ServerSettings):
    accounts_url: str | None = Field(
        None, pattern="^https?://", description="the accounts service, whose access tokens are then taken"
    )


class ConsumerSettings(ServiceSettings):
    # Kafka's brokers allow no less than 6 s and no more than 30 min, unless they are set otherwise.
    session_timeout_s: float = Field(
        10, ge=6, le=1800, description="how long a consumer may be silent before its partitions go to another"
    )

    @property
    def session_timeout_ms(self) -> int:
        return int(self.session_timeout_s * 1000)


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load(cls: type[SettingsT]) -> SettingsT:
    """Read the settings, or exit with a line for each wrong value: the variable, what it was, what it may be."""
    try:
        return cls()
    except ValidationError as error:
        lines = [_explain(cls, part["loc"], part["msg"], part.get("input")) for part in error.errors()]
        sys.exit("\n".join(lines))


def _explain(cls: type[BaseSettings], location: tuple[int | str, ...], message: str, value: object) -> str:
    name = str(location[0]) if location else ""
    field = cls.model_fields.get(name)
    if not name:
        # Of all together: the value would be all of them, secrets too.
        return f"settings: {message}"
    variable = (str(cls.model_config.get("env_prefix")) + name).upper()
    about = f" ({field.description})" if field is not None and field.description else ""
    if field is not None and message == "Field required":
        return f"settings: {variable}{about} is not set"
    # A secret is a SecretStr; any other value may be shown.
    shown = "its value" if field is not None and "Secret" in str(field.annotation) else repr(value)
    return f"settings: {variable}{about} is wrong: {shown}: {message}"
