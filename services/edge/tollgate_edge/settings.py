"""The edge's environment, read once in `main.py`."""

import socket
from pathlib import Path

from pydantic import Field, SecretStr
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

    drain_s: float = Field(30, ge=0, description="how long open streams may go on after SIGTERM")
