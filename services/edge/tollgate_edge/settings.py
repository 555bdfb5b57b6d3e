"""Settings of the edge, read once in `main.py`."""

import socket
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tollgate_common.settings import ServiceSettings
from tollgate_edge.rate_limits.client_address import Network, parse_networks


class EdgeSettings(ServiceSettings):
    edge_name: str = Field(default_factory=socket.gethostname, description="name of this edge in its heartbeats")

    gateway_file: Path | None = Field(
        None, description="gateway.yaml with providers and routes; without it, the providers below are used"
    )
    openai_url: str = Field(
        "https://api.openai.com/v1", pattern="^https?://", description="OpenAI's API, or another one with its protocol"
    )
    openai_api_key: SecretStr | None = Field(None, validate_default=True, description="the operator's key for it")
    anthropic_url: str = Field(
        "https://api.anthropic.com/v1", pattern="^https?://", description="Anthropic's API, used if its key is set"
    )
    anthropic_api_key: SecretStr | None = Field(None, description="the operator's key for it")
    gemini_url: str = Field(
        "https://generativelanguage.googleapis.com/v1beta",
        pattern="^https?://",
        description="Gemini's API, used if its key is set",
    )
    gemini_api_key: SecretStr | None = Field(None, description="the operator's key for it")
    connect_timeout_s: float = Field(10, gt=0, description="timeout of a connection to a provider")
    read_timeout_s: float = Field(600, gt=0, description="maximum time between two reads from a provider")

    # OpenAI accepts audio files of 25 MB, Anthropic bodies of 32 MB.
    max_body_bytes: int = Field(33 << 20, ge=1 << 10, description="maximum size of a request body")

    ack_timeout_s: float = Field(2, gt=0, description="how long Kafka may take before events go to the spool")
    spool_dir: Path = Field(description="durable folder for events that Kafka has not acknowledged")
    spool_max_bytes: int = Field(256 << 20, ge=1 << 10, description="with a larger spool, the edge rejects requests")
    spool_max_age_s: float = Field(300, gt=0, description="with an older event in the spool, the edge rejects requests")

    admission: Literal["leases", "known_balances"] = Field(
        "leases",
        description="how requests are admitted: on leases of the balance service, or, for development, while the last"
        " published balance is positive",
    )
    balance_url: str | None = Field(None, pattern="^https?://", description="the balance service, which grants leases")
    internal_token: SecretStr | None = Field(None, min_length=32, description="the secret that all services share")
    credit_wait_s: float = Field(
        10, gt=0, description="how long a request may wait for credit that other requests hold"
    )
    first_output_tokens: int = Field(
        256,
        ge=1,
        description="output tokens that are reserved for a streamed choice at its start, and with each extension",
    )
    fail_open_above_nano: int | None = Field(
        None,
        ge=0,
        description="while balance is unavailable, admit accounts whose last balance was above this; unset rejects all",
    )

    key_requests_per_minute: int | None = Field(None, ge=1, description="limit of keys that do not set their own")
    key_tokens_per_minute: int | None = Field(None, ge=1, description="limit of keys that do not set their own")
    key_max_in_flight: int | None = Field(None, ge=1, description="limit of keys that do not set their own")
    trusted_proxies: str = Field(
        "", description="networks in CIDR notation, separated by commas, whose X-Forwarded-For is trusted"
    )

    idempotency_wait_s: float = Field(
        120, gt=0, description="how long a request may wait for the response of the first one with its Idempotency-Key"
    )
    idempotency_max_bytes: int = Field(
        1 << 20, ge=0, le=3 << 20, description="maximum size of a stored response to a request with an Idempotency-Key"
    )

    workers: int = Field(1, ge=1, le=256, description="processes that share the port; at most one per core is useful")
    drain_s: float = Field(30, ge=0, description="how long open streams may continue after SIGTERM")

    @field_validator("openai_api_key")
    @classmethod
    def _check_openai_api_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("gateway_file") is None:
            raise PydanticCustomError("missing", "Field required")
        return key

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, texts: str) -> str:
        _parse_networks(texts)
        return texts

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        return _parse_networks(self.trusted_proxies)

    @model_validator(mode="after")
    def _check_balance(self) -> Self:
        if self.admission == "leases" and (self.balance_url is None or self.internal_token is None):
            raise ValueError(
                "TOLLGATE_ADMISSION=leases needs TOLLGATE_BALANCE_URL and TOLLGATE_INTERNAL_TOKEN; without a balance"
                " service set TOLLGATE_ADMISSION=known_balances, which may overdraw accounts"
            )
        return self


def _parse_networks(texts: str) -> tuple[Network, ...]:
    return parse_networks(tuple(text.strip() for text in texts.split(",") if text.strip()))
