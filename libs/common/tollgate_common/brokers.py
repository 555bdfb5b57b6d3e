"""How Kafka is reached. Every client takes its connection's options from here, so that none can forget one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Brokers:
    """Where brokers are, and how to speak to them."""

    bootstrap: str
    """Some of them, `host:port`, separated by commas; they tell of the others."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What each of aiokafka's clients is given: `AIOKafkaConsumer(**brokers.options, group_id=...)`."""
        return {"bootstrap_servers": self.bootstrap}
