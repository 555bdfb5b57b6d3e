"""Migrations run once and in order, also when several processes migrate a database at once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from engines.stores import ClickHouseDatabase
from tollgate_common.clickhouse import lock as clickhouse_lock
from tollgate_common.clickhouse.client import connect as connect_clickhouse
from tollgate_common.clickhouse.lock import Lock, acquire
from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_common.errors import Fenced, InconsistentState
from tollgate_common.migrations import Migration, apply_pending, find_migrations
from tollgate_common.postgres.connection import connect as connect_postgres
from tollgate_common.postgres.migrations import migrate_postgres

PROCESSES = 4
_numbers = count()


class MakePackage(Protocol):
    def __call__(self, folder: str, **texts: str) -> str: ...


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePackage:
    def make(folder: str, **texts: str) -> str:
        name = f"migrated_{next(_numbers)}"
        migrations = tmp_path / name / folder
        migrations.mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        for file, text in texts.items():
            (migrations / f"{file}.sql").write_text(text)
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    return make


class MemoryTarget:
    def __init__(self, digests: Mapping[str, str]) -> None:
        self.digests = dict(digests)
        self.ran: list[str] = []

    async def read_digests(self) -> Mapping[str, str]:
        return dict(self.digests)

    async def apply(self, migration: Migration) -> None:
        self.ran.append(migration.name)
        self.digests[migration.name] = migration.digest


async def test_pending_migrations_run_in_the_order_of_their_names(make_package: MakePackage) -> None:
    first = make_package("migrations", _0000_a="A", _0002_c="C")
    second = make_package("migrations", _0001_b="B")
    target = MemoryTarget({})
    migrations = find_migrations("migrations", second, first)
    assert await apply_pending(target, migrations) == ["_0000_a", "_0001_b", "_0002_c"] == target.ran
    assert target.digests["_0001_b"] == hashlib.sha256(b"B").hexdigest()
    assert await apply_pending(target, migrations) == []


async def test_an_edited_migration_is_an_error() -> None:
    target = MemoryTarget({"0000_a": Migration("0000_a", "A").digest})
    with pytest.raises(InconsistentState, match="migration 0000_a was edited after it ran"):
        await apply_pending(target, [Migration("0000_a", "A2"), Migration("0001_b", "B")])
    assert target.ran == []


@pytest.mark.engines
async def test_postgres_runs_each_migration_once(postgres_dsn: str, make_package: MakePackage) -> None:
    package = make_package(
        "migrations", _0000_table="CREATE TABLE runs (n int)", _0001_row="INSERT INTO runs SELECT 1 FROM pg_sleep(0.2)"
    )
    ran = await asyncio.gather(*(migrate_postgres(postgres_dsn, package) for _ in range(PROCESSES)))
    assert sorted(ran) == [[]] * (PROCESSES - 1) + [["_0000_table", "_0001_row"]]
    async with await connect_postgres(postgres_dsn) as connection:
        assert await (await connection.execute("SELECT n FROM runs")).fetchall() == [{"n": 1}]


@pytest.mark.engines
async def test_clickhouse_runs_each_migration_once(
    clickhouse_database: ClickHouseDatabase, make_package: MakePackage
) -> None:
    package = make_package(
        "clickhouse_migrations",
        _0000_table="CREATE TABLE runs (n UInt8) ENGINE = MergeTree ORDER BY n",
        _0001_row="INSERT INTO runs SELECT 1 + sleep(0.5)",
    )
    ran = await asyncio.gather(*(migrate_clickhouse(clickhouse_database.url, package) for _ in range(PROCESSES)))
    assert sorted(ran) == [[]] * (PROCESSES - 1) + [["_0000_table", "_0001_row"]]
    client = await connect_clickhouse(clickhouse_database.url)
    try:
        assert (await client.query("SELECT n FROM runs")).result_rows == [(1,)]
    finally:
        await client.close()


@pytest.fixture
async def clickhouse(clickhouse_database: ClickHouseDatabase) -> AsyncIterator[AsyncClient]:
    client = await connect_clickhouse(clickhouse_database.url)
    yield client
    await client.close()


async def killed(client: AsyncClient) -> Lock:
    """A lock whose holder neither renews nor releases it."""
    return await clickhouse_lock._wait_for(client, "test_lock")


@pytest.mark.engines
async def test_the_lock_of_a_killed_process_expires(
    clickhouse: AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clickhouse_lock, "LIFETIME_S", 2)
    paused = await killed(clickhouse)
    async with asyncio.timeout(60), acquire(clickhouse, "test_lock") as lock:
        await lock.renew()
        with pytest.raises(Fenced, match="another process has taken it over"):
            await paused.renew()
        # It must not free what another process holds.
        await paused.release()
        await lock.renew()
    assert "the lock test_lock has expired" in caplog.text


@pytest.mark.engines
async def test_the_lock_is_renewed_while_it_is_held(clickhouse: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_lock, "LIFETIME_S", 3)
    monkeypatch.setattr(clickhouse_lock, "RENEWAL_INTERVAL_S", 0.2)
    async with acquire(clickhouse, "test_lock") as lock:
        waiting = asyncio.create_task(killed(clickhouse))
        await asyncio.sleep(5)
        assert not waiting.done()
        await lock.renew()
    async with asyncio.timeout(60):
        await waiting


@pytest.mark.engines
async def test_one_process_at_a_time_holds_the_lock(clickhouse: AsyncClient) -> None:
    holders = 0

    async def hold() -> None:
        nonlocal holders
        async with acquire(clickhouse, "test_lock"):
            holders += 1
            assert holders == 1
            await asyncio.sleep(0.01)
            holders -= 1

    await asyncio.gather(*(hold() for _ in range(10)))


@pytest.mark.engines
async def test_a_first_table_that_is_created_late_gives_nobody_the_lock(clickhouse: AsyncClient) -> None:
    async with acquire(clickhouse, "test_lock") as lock:
        await clickhouse.command("CREATE TABLE test_lock_0_0 (unused UInt8) ENGINE = Null")
        now = (await clickhouse.query("SELECT toUnixTimestamp(now())")).result_rows[0][0]
        late = clickhouse_lock._State(0, 0, now + 1)
        assert await clickhouse_lock._take(clickhouse, "test_lock", late) is None
        await lock.renew()
    assert [state.expires_at for state in await clickhouse_lock._read(clickhouse, "test_lock")] == [0]
