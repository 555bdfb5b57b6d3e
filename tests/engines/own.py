"""A test's own Kafka and PostgreSQL, to be killed: the shared ones are not for that. ClickHouse is the shared one."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tollgate_local.engines import EngineAddresses
from tollgate_local.kafka import Kafka
from tollgate_local.ports import free_port
from tollgate_local.postgres import Postgres
from tollgate_local.processes import Reaper
from tollgate_local.supervisor import Part, Patience, Supervisor


class OwnEngines(NamedTuple):
    addresses: EngineAddresses
    supervisor: Supervisor
    """Starts again what a test has killed, after the outage that it asked for."""


@asynccontextmanager
async def own_engines(folder: Path, clickhouse_url: str, *, outage_s: float) -> AsyncIterator[OwnEngines]:
    """Running engines; one that is killed stays away for `outage_s`."""
    kafka = Kafka(folder / "kafka", folder / "kafka.log", free_port(), free_port(), print, short_lived=True)
    # With its durable settings: a commit that it has acknowledged must outlive its death.
    postgres = Postgres(folder / "postgres", folder / "postgres.log", free_port(), short_lived=False)
    parts = [Part(engine.name, engine.spec, engine.prepare) for engine in (kafka, postgres)]
    patience = Patience(first_delay_s=outage_s, longest_delay_s=outage_s, quick_deaths_allowed=None)
    try:
        with Reaper() as reaper:
            async with Supervisor(parts, reaper, print, patience) as supervisor:
                await supervisor.wait_ready()
                addresses = EngineAddresses(kafka.bootstrap, postgres.dsn, clickhouse_url)
                yield OwnEngines(addresses, supervisor)
    finally:
        # For root it may be outside of `folder`, which pytest deletes.
        shutil.rmtree(postgres.home, ignore_errors=True)
