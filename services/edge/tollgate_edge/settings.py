"""The edge's environment, read once in `main.py`."""

import socket
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tollgate_common.settings import ServiceSettings
from tollgate_edge.rate_limits.client_address import Network, parse_networks


class EdgeSettings(ServiceSettings):
    edge_name: str = Field(default_factory=socket.gethostname, description="this edge's name in its heartbeats")

    gateway_file: Path | None = Field(
        None, description="gateway.yaml, which names providers and routes; without it there is only `openai_url`"
    )
    openai_url: str = Field(
        "https://api.openai.com/v1", pattern="^https?://", description="OpenAI's API or one that speaks its protocol"
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
    connect_timeout_s: float = Field(10, gt=0, description="how long to wait for a connection to a provider")
    read_timeout_s: float = Field(600, gt=0, description="the longest silence of a provider")

    # OpenAI takes sound of 25 MB, Anthropic bodies of 32 MB.
    max_body_bytes: int = Field(33 << 20, ge=1 << 10, description="largest request body")

    ack_timeout_s: float = Field(2, gt=0, description="how long Kafka may take before events go to the spool")
    spool_dir: Path = Field(description="durable folder for events that Kafka has not acknowledged")
    spool_max_bytes: int = Field(256 << 20, ge=1 << 10, description="above this the edge refuses requests")
    spool_max_age_s: float = Field(300, gt=0, description="with an older event in the spool it refuses them too")

    admission: Literal["leases", "known_balances"] = Field(
        "leases",
        description="how an account may spend: on leases of the balance service, or, for development, while the"
        " last published balance is above zero",
    )
    balance_url: str | None = Field(None, pattern="^https?://", description="the balance service, which grants leases")
    internal_token: SecretStr | None = Field(
        None, min_length=32, description="the secret that the balance service knows"
    )
    credit_wait_s: float = Field(10, gt=0, description="how long a request may wait for credit that others hold")
    first_output_tokens: int = Field(
        256,
        ge=1,
        description="output tokens of a streamed choice that are reserved at once, and so many each time after",
    )
    fail_open_above_nano: int | None = Field(
        None,
        ge=0,
        description="without the balance service, let accounts in that had more than this; unset refuses them",
    )

    key_requests_per_minute: int | None = Field(None, ge=1, description="for keys without a limit of their own")
    key_tokens_per_minute: int | None = Field(None, ge=1, description="for keys without a limit of their own")
    key_max_in_flight: int | None = Field(None, ge=1, description="for keys without a limit of their own")
    trusted_proxies: str = Field(
        "", description="networks in CIDR notation, separated by commas, whose X-Forwarded-For is believed"
    )

    idempotency_wait_s: float = Field(
        120, gt=0, description="how long a repeat under the same Idempotency-Key may wait for the first one's answer"
    )
    idempotency_max_bytes: int = Field(
        1 << 20, ge=0, le=3 << 20, description="a larger answer is not kept for repeats under the same Idempotency-Key"
    )

    workers: int = Field(1, ge=1, le=256, description="processes that share the port, one for each core at most")
    drain_s: float = Field(30, ge=0, description="how long open streams may go on after SIGTERM")

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
