"""The embedded engines keep their data, wherever the checkout lies and whatever ports they get."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tollgate_local import postgres_binaries, users
from tollgate_local.errors import DataUnusableError
from tollgate_local.kafka import Kafka
from tollgate_local.ports import free_port
from tollgate_local.postgres import Postgres
from tollgate_local.processes import Reaper
from tollgate_local.supervisor import Part, Supervisor

pytestmark = pytest.mark.engines


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="tollgate-test-embedded-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def running(engine: Kafka | Postgres) -> AsyncIterator[None]:
    with Reaper() as reaper:
        async with Supervisor([Part(engine.name, engine.spec, engine.prepare)], reaper, print) as supervisor:
            await supervisor.wait_ready()
            yield


def kafka(folder: Path) -> Kafka:
    return Kafka(folder / "kafka", folder / "kafka.log", free_port(), free_port(), print, short_lived=True)


def postgres(folder: Path) -> Postgres:
    return Postgres(folder / "postgres", folder / "postgres.log", free_port(), short_lived=True)


async def test_kafka_keeps_its_data_on_other_ports(folder: Path) -> None:
    first = kafka(folder)
    async with running(first):
        admin = AIOKafkaAdminClient(bootstrap_servers=first.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("numbers", num_partitions=1, replication_factor=1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=first.bootstrap, acks="all") as producer:
            await producer.send_and_wait("numbers", b"one")

    second = kafka(folder)
    assert second.bootstrap != first.bootstrap
    async with (
        running(second),
        AIOKafkaConsumer("numbers", bootstrap_servers=second.bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        record = await consumer.getone()

    assert record.value == b"one"


async def test_postgres_keeps_its_data_and_its_password(folder: Path) -> None:
    first = postgres(folder)
    async with running(first), await psycopg.AsyncConnection.connect(first.dsn, autocommit=True) as connection:
        await connection.execute("CREATE TABLE ledger AS SELECT 42 AS amount_nano")

    second = postgres(folder)
    async with running(second), await psycopg.AsyncConnection.connect(second.dsn) as connection:
        rows = await (await connection.execute("SELECT amount_nano FROM ledger")).fetchall()

    assert rows == [(42,)]


async def test_postgres_asks_for_the_password(folder: Path) -> None:
    server = postgres(folder)
    async with running(server):
        assert (folder / "postgres" / "password").stat().st_mode & 0o777 == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await psycopg.AsyncConnection.connect(server.dsn.replace("tollgate:", "tollgate:not-"))


async def test_data_of_another_postgres_is_refused_in_one_line(folder: Path) -> None:
    server = postgres(folder)
    await server.prepare()
    (folder / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")

    with pytest.raises(DataUnusableError, match=r"made by PostgreSQL 9.6, and this machine's is \d+; .*make reset"):
        await server.prepare()


async def test_the_wheels_postgres_runs_in_a_checkout_closed_to_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = postgres_binaries.wheel_package()
    assert package is not None
    closed = tmp_path / "site-packages"  # below pytest's own folder, which nobody else may enter
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, closed / name, symlinks=True)
    monkeypatch.setattr(postgres_binaries, "wheel_package", lambda: closed / package.name)
    monkeypatch.setattr(postgres_binaries, "candidate_folders", lambda: iter([closed / package.name / "pginstall/bin"]))
    monkeypatch.setattr(users, "OUTSIDE", folder)

    server = postgres(tmp_path)
    async with running(server), await psycopg.AsyncConnection.connect(server.dsn) as connection:
        version = await (await connection.execute("SHOW server_version_num")).fetchone()

    assert version is not None
    assert version[0].startswith(str(postgres_binaries.major_version(package / "pginstall" / "bin")))
