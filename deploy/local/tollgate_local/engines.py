"""The three engines together, and where they listen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tollgate_local.clickhouse import ClickHouse
from tollgate_local.kafka import Kafka
from tollgate_local.postgres import Postgres
from tollgate_local.processes import Tell
from tollgate_local.supervisor import Part


class EngineAddresses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where running engines listen, wherever they run; kept as JSON for those who did not start them."""

    kafka_bootstrap: str
    # A superuser's, who may create databases.
    postgres_dsn: str
    # With user and password, without a database.
    clickhouse_url: str


@dataclass(frozen=True)
class Engines:
    kafka: Kafka
    postgres: Postgres
    clickhouse: ClickHouse

    @property
    def addresses(self) -> EngineAddresses:
        """Known once every engine is prepared."""
        return EngineAddresses(self.kafka.bootstrap, self.postgres.dsn, self.clickhouse.url)

    def parts(self) -> list[Part]:
        return [
            Part(engine.name, engine.spec, engine.prepare) for engine in (self.kafka, self.postgres, self.clickhouse)
        ]


def build_engines(home: Path, logs: Path, ports: Mapping[str, int], tell: Tell, *, short_lived: bool) -> Engines:
    """Finds the programs; fetches and starts nothing yet.

    Args:
        home: below it each engine has a folder of its own.
        logs: each engine's log is `<name>.log` in it.
        ports: by part, as in `ports.DEFAULT_PORTS`.
        tell: gets a line a person can read for what takes long.
        short_lived: for data that nobody will miss: quicker to start and to write, not durable.
    """
    return Engines(
        Kafka(
            home / "kafka", logs / "kafka.log", ports["kafka"], ports["kafka-controller"], tell, short_lived=short_lived
        ),
        Postgres(home / "postgres", logs / "postgres.log", ports["postgres"], short_lived=short_lived),
        ClickHouse(home / "clickhouse", logs / "clickhouse.log", ports["clickhouse"]),
    )
