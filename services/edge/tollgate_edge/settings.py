"""The edge's environment, read once in `main.py`."""

import socket
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from tollgate_common.settings import ENV_PREFIX, ServiceSettings


class EdgeSettings(ServiceSettings):
    # A variable that is set but empty, as compose files make them, is one that is not set.
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    edge_name: str = Field(default_factory=socket.gethostname, description="this edge's name in its heartbeats")

    openai_url: str = Field(
        "https://api.openai.com/v1", pattern="^https?://", description="OpenAI's API or one that speaks its protocol"
    )
    openai_api_key: SecretStr = Field(description="the operator's key for it")
    connect_timeout_s: float = Field(10, gt=0, description="how long to wait for a connection to a provider")
    read_timeout_s: float = Field(600, gt=0, description="the longest silence of a provider")

    max_body_bytes: int = Field(20 << 20, ge=1 << 10, description="largest request body")

    ack_timeout_s: float = Field(2, gt=0, description="how long Kafka may take before events go to the spool")
    spool_dir: Path = Field(description="durable folder for events that Kafka has not acknowledged")
    spool_max_bytes: int = Field(256 << 20, ge=1 << 10, description="above this the edge refuses requests")
    spool_max_age_s: float = Field(300, gt=0, description="with an older event in the spool it refuses them too")

    balance_url: str | None = Field(
        None, pattern="^https?://", description="the balance service; without it credit is only looked at, not leased"
    )
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

    drain_s: float = Field(30, ge=0, description="how long open streams may go on after SIGTERM")

    @model_validator(mode="after")
    def _check_balance(self) -> Self:
        if (self.balance_url is None) != (self.internal_token is None):
            raise ValueError("TOLLGATE_BALANCE_URL and TOLLGATE_INTERNAL_TOKEN are set both or not at all")
        return self
