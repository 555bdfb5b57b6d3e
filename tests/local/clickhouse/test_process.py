"""Our server as a process: how it starts, refuses to start, stops, and what a kill leaves behind."""

import random
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from local.clickhouse.running import (
    RunningServer,
    connect,
    failed_start,
    running_queries,
    running_server,
    slow_select,
    wait_until,
)
from waiting import PATIENCE_S

pytestmark = [pytest.mark.engines]

KILLS = 10
ROWS = 2_000


def test_ping_needs_no_password(tmp_path: Path) -> None:
    with running_server(tmp_path, user="writer", password="secret") as server:
        for path in ("/ping", "/"):
            with urlopen(server.url + path) as response:  # noqa: S310 - our own server
                assert response.read() == b"Ok.\n"
        with pytest.raises(DatabaseError) as caught:
            connect(server.url)
        assert caught.value.code == 516
        client = connect(server.url.replace("http://", "http://writer:secret@"))
        assert client.command("SELECT 1") == 1
        client.close()


def test_a_data_path_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        failed = failed_start(tmp_path)
        assert failed.returncode == 1
        assert failed.stderr == f"clickhouse: the data path {tmp_path} is in use by process {server.process.pid}\n"


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = failed_start(tmp_path, port=str(port))
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"clickhouse: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert failed.stderr.count("\n") == 1


def test_a_path_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failed = failed_start(tmp_path / "file" / "data")
    assert failed.returncode == 1
    assert failed.stderr == f"clickhouse: cannot write to the data path {tmp_path}/file/data: Not a directory\n"


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    failed = failed_start(tmp_path, workers="none")
    assert failed.returncode == 1
    assert failed.stderr.startswith(
        "settings: TOLLGATE_CLICKHOUSE_WORKERS (queries that run at the same time) is wrong"
    )


def test_a_stop_answers_the_queries_that_it_kills(tmp_path: Path) -> None:
    marker = f"marker_{uuid4().hex}"
    with running_server(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        client = connect(server.url)
        client.command("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
        client.insert("t", [[1]], ["id"], column_oriented=True)
        running = pool.submit(client.query, slow_select(marker))
        wait_until(lambda: running_queries(client, marker) > 0, "the query runs")
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(DatabaseError) as caught:
            running.result(timeout=PATIENCE_S)
        assert caught.value.code == 394
        assert server.wait() == 0
        client.close()
    with running_server(tmp_path) as server:
        client = connect(server.url)
        assert client.command("SELECT count() FROM t") == 1
        client.close()


def test_a_stop_right_after_the_start_is_not_lost(tmp_path: Path) -> None:
    assert RunningServer(tmp_path).stop() == 0


def test_abandoned_queries_leave_the_workers_free(tmp_path: Path) -> None:
    """More of them than workers, some still waiting for one."""
    with running_server(tmp_path, workers="2") as server:
        port = int(server.url.rsplit(":", 1)[1])
        slow = "SELECT%20sleepEachRow(0.1)%20FROM%20numbers(600)%20SETTINGS%20max_block_size=1"
        readers = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        for reader in readers:
            reader.sendall(f"GET /?query={slow} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for reader in readers:
            reader.close()
        client = connect(server.url)
        wait_until(lambda: running_queries(client, "sleepEachRow") == 0, "they have ended")
        client.close()


@pytest.mark.parametrize(
    "engine", ["ENGINE = Kafka('localhost:9092', 't', 'g', 'CSV')", "Engine=`Kafka` SETTINGS a = 1"]
)
def test_kafka_tables_are_refused(client: Client, engine: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command(f"CREATE TABLE queue (id UInt64) {engine}")
    assert caught.value.code == 48


def test_input_is_refused_rather_than_misread(client: Client, events: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command(
            "INSERT INTO events SELECT id, text FROM input('id UInt64, text String') FORMAT CSV", data="1,a\n"
        )
    assert caught.value.code == 48


@pytest.mark.timeout(300)  # eleven starts, on a machine that may be busy
def test_kills_lose_no_acknowledged_row(tmp_path: Path) -> None:
    """Ten times: insert without pause, kill -9 at a random moment, start again on the same data, compare."""
    acknowledged: set[int] = set()
    for attempt in range(KILLS + 1):
        server = RunningServer(tmp_path / "data")
        client = connect(server.url)
        if attempt == 0:
            client.command("CREATE TABLE t (batch UInt64, n UInt64) ENGINE = MergeTree ORDER BY batch")
        rows = client.query("SELECT batch, count() FROM t GROUP BY batch").result_rows
        assert acknowledged <= {batch for batch, _ in rows}
        assert {count for _, count in rows} <= {ROWS}, "an insert was torn"
        if attempt == KILLS:
            assert server.stop() == 0
        else:
            insert_until_killed(server, client, acknowledged)
        client.close()
    assert len(acknowledged) >= KILLS
    assert not list((tmp_path / "data" / "spool").iterdir())


def insert_until_killed(server: RunningServer, client: Client, acknowledged: set[int]) -> None:
    first = len(acknowledged) * 1_000
    with ThreadPoolExecutor(1) as pool:
        # After the first acknowledgement, so that each round adds to what may be lost.
        insert(client, first, acknowledged)
        killing = pool.submit(kill_after, server, random.uniform(0.0, 0.3))
        for batch in range(first + 1, first + 1_000):
            try:
                insert(client, batch, acknowledged)
            except Error:
                break
        killing.result(timeout=PATIENCE_S)


def insert(client: Client, batch: int, acknowledged: set[int]) -> None:
    client.insert("t", [[batch] * ROWS, list(range(ROWS))], ["batch", "n"], column_oriented=True)
    acknowledged.add(batch)


def kill_after(server: RunningServer, delay_s: float) -> None:
    time.sleep(delay_s)
    server.kill()
