"""Settings of a service: one frozen class, read once from the environment in `main.py`."""

import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tollgate_common.crash_points import CrashPoint
from tollgate_common.kafka.brokers import Brokers, Login, SaslMechanism, SecurityProtocol, Tls

ENV_PREFIX = "TOLLGATE_"
# A host name, an IPv4 address, or an IPv6 address in brackets, with or without a port.
BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?")

LOGIN = ("kafka_sasl_mechanism", "kafka_username", "kafka_password")
FILES = ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file")


class Environment(BaseSettings):
    """`kafka_bootstrap` is read from `TOLLGATE_KAFKA_BOOTSTRAP`, and so on."""

    # An empty variable counts as unset, because compose files set such variables.
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)


class Settings(Environment):
    """Settings of every process that uses Kafka."""

    kafka_bootstrap: str = Field(min_length=3, description="brokers, host:port, separated by commas")
    kafka_security_protocol: SecurityProtocol = Field(
        "PLAINTEXT", description="security protocol of the brokers at these ports"
    )
    kafka_sasl_mechanism: SaslMechanism | None = Field(None, description="SASL mechanism")
    kafka_username: str | None = Field(None, description="SASL user name")
    kafka_password: SecretStr | None = Field(None, description="SASL password")
    kafka_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities of the brokers' certificates, for TLS; unset uses those of the system",
    )
    kafka_certificate_file: Path | None = Field(
        None, description="PEM file of the client certificate, if the brokers require one"
    )
    kafka_key_file: Path | None = Field(None, description="PEM file of its private key, not encrypted")
    topic_prefix: str = Field("tollgate", pattern=r"^[a-z0-9-]+$", description="first part of each topic's name")

    @field_validator("kafka_bootstrap")
    @classmethod
    def _names_brokers(cls, text: str) -> str:
        brokers = [part.strip() for part in text.split(",")]
        if not all(BROKER.fullmatch(broker) for broker in brokers):
            raise ValueError("expected host:port without a protocol, several separated by commas")
        return ",".join(brokers)

    @model_validator(mode="after")
    def _kafka_settings_go_together(self) -> Self:
        protocol = f"TOLLGATE_KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}"
        for name in (() if self._has_login else LOGIN) + (() if self._has_tls else FILES):
            if getattr(self, name) is not None:
                raise ValueError(f"{ENV_PREFIX}{name.upper()} is set but not used: {protocol}")
        for name in LOGIN if self._has_login else ():
            if getattr(self, name) is None:
                raise ValueError(f"{ENV_PREFIX}{name.upper()} is not set: {protocol}")
        if (self.kafka_certificate_file is None) != (self.kafka_key_file is None):
            raise ValueError("set both TOLLGATE_KAFKA_CERTIFICATE_FILE and TOLLGATE_KAFKA_KEY_FILE, or neither")
        if self.brokers.tls is not None:
            # Read the files now, because an invalid file is an invalid setting.
            assert self.brokers.tls.context
        return self

    @property
    def _has_tls(self) -> bool:
        return self.kafka_security_protocol.endswith("SSL")

    @property
    def _has_login(self) -> bool:
        return self.kafka_security_protocol.startswith("SASL_")

    @cached_property
    def brokers(self) -> Brokers:
        tls = Tls(self.kafka_ca_file, self.kafka_certificate_file, self.kafka_key_file) if self._has_tls else None
        return Brokers(self.kafka_bootstrap, tls, self._login())

    def _login(self) -> Login | None:
        if self.kafka_sasl_mechanism is None or self.kafka_username is None or self.kafka_password is None:
            return None
        return Login(self.kafka_sasl_mechanism, self.kafka_username, self.kafka_password)


class ServerSettings(Environment):
    """Settings of every process that serves HTTP."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(ge=1, le=65535, description="port to listen on")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    crash_at: CrashPoint | None = Field(
        None, description="only for tests: the crash point at which the process is killed"
    )


class ServiceSettings(Settings, ServerSettings):
    accounts_url: str | None = Field(
        None, pattern="^https?://", description="the accounts service; if set, its access tokens are accepted"
    )


class ConsumerSettings(ServiceSettings):
    # By default, Kafka's brokers allow 6 s to 30 min.
    session_timeout_s: float = Field(
        10,
        ge=6,
        le=1800,
        description="how long a consumer may send no heartbeat before its partitions go to another one",
    )

    @property
    def session_timeout_ms(self) -> int:
        return int(self.session_timeout_s * 1000)


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load(cls: type[SettingsT]) -> SettingsT:
    """Read the settings. Exit with a line for each invalid value: the variable, its value, and what it may be."""
    try:
        return cls()
    except ValidationError as error:
        lines = [_explain(cls, part["loc"], part["msg"], part.get("input")) for part in error.errors()]
        sys.exit("\n".join(lines))


def _explain(cls: type[BaseSettings], location: tuple[int | str, ...], message: str, value: object) -> str:
    name = str(location[0]) if location else ""
    field = cls.model_fields.get(name)
    if not name:
        # An error of all settings together. Its value contains all of them, including secrets.
        return f"settings: {message.removeprefix('Value error, ')}"
    variable = (str(cls.model_config.get("env_prefix")) + name).upper()
    about = f" ({field.description})" if field is not None and field.description else ""
    if field is not None and message == "Field required":
        return f"settings: {variable}{about} is not set"
    # Secrets have the type SecretStr. Any other value may be shown.
    shown = "its value" if field is not None and "Secret" in str(field.annotation) else repr(value)
    return f"settings: {variable}{about} is wrong: {shown}: {message}"
