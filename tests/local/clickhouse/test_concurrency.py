"""Contract: many clients at once, queries killed or left behind. Passes against a real ClickHouse server too."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from local.clickhouse.running import connect, running_queries, scalar, slow_select, wait_until
from local.clickhouse.test_inserts import headers
from waiting import PATIENCE_S

pytestmark = [pytest.mark.engines]

WRITER = Path(__file__).with_name("writer.py")
PROCESSES, INSERTS, ROWS = 3, 10, 1_000


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def marker() -> str:
    return f"marker_{uuid4().hex}"


def started(client: Client, pool: ThreadPoolExecutor, marker: str, query_id: str) -> Future[object]:
    future: Future[object] = pool.submit(client.query, slow_select(marker), settings={"query_id": query_id})
    wait_until(lambda: running_queries(client, marker) > 0, "the query runs")
    return future


@pytest.mark.parametrize("query_id", ["plain-id", "it's */ 'odd' % é"])
def test_kill_query_ends_it(client: Client, pool: ThreadPoolExecutor, marker: str, query_id: str) -> None:
    unique = f"{query_id} {uuid4()}"
    running = started(client, pool, marker, unique)
    client.command("KILL QUERY WHERE query_id = {id:String} SYNC", parameters={"id": unique})
    with pytest.raises(DatabaseError) as caught:
        running.result(timeout=PATIENCE_S)
    assert caught.value.code == 394
    assert running_queries(client, marker) == 0


def test_kill_query_ends_a_stream_with_an_error(client: Client, pool: ThreadPoolExecutor, marker: str) -> None:
    """A killed stream must not look like a complete one."""
    query_id = uuid4().hex

    def read() -> int:
        sql = "SELECT number, 'MARKER' FROM numbers(100000000000)".replace("MARKER", marker)
        with client.query_row_block_stream(sql, settings={"query_id": query_id, "max_threads": 1}) as blocks:
            return sum(1 for _ in blocks)

    running = pool.submit(read)
    wait_until(lambda: running_queries(client, marker) > 0, "the query runs")
    client.command("KILL QUERY WHERE query_id = {id:String} SYNC", parameters={"id": query_id})
    with pytest.raises(DatabaseError) as caught:
        running.result(timeout=PATIENCE_S)
    assert caught.value.code == 394


def test_a_query_id_in_use_is_refused(client: Client, pool: ThreadPoolExecutor, marker: str) -> None:
    query_id = uuid4().hex
    running = started(client, pool, marker, query_id)
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT 1", settings={"query_id": query_id})
    assert caught.value.code == 216
    client.command("KILL QUERY WHERE query_id = {id:String} SYNC", parameters={"id": query_id})
    with pytest.raises(DatabaseError):
        running.result(timeout=PATIENCE_S)
    assert client.query("SELECT 1", settings={"query_id": query_id}).first_row == (1,)


@pytest.mark.parametrize("waits", [0, 1], ids=["stream", "whole"])
def test_a_reader_that_goes_away_ends_its_query(server_url: str, client: Client, marker: str, *, waits: int) -> None:
    parts = urlsplit(server_url)
    sql = quote(slow_select(marker) + " FORMAT Native")
    path = f"/?wait_end_of_query={waits}&cancel_http_readonly_queries_on_client_close=1&query={sql}"
    lines = [f"POST {path} HTTP/1.1", f"Host: {parts.hostname}", "Content-Length: 0"]
    lines += [f"{key}: {value}" for key, value in headers(server_url).items()]
    with socket.create_connection((parts.hostname, parts.port)) as reader:
        reader.sendall("\r\n".join([*lines, "", ""]).encode())
        wait_until(lambda: running_queries(client, marker) > 0, "the query runs")
    wait_until(lambda: running_queries(client, marker) == 0, "nobody's query has ended")


def test_one_client_serves_many_threads(client: Client, events: str) -> None:
    def insert_and_count(thread: int) -> int:
        client.insert(events, [[thread], [str(thread)]], ["id", "text"], column_oriented=True)
        return int(scalar(client, "SELECT count() FROM events WHERE id = {id:UInt64}", id=thread))

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(insert_and_count, range(100))) == [1] * 100


def test_many_processes_write_and_read_at_once(server_url: str, database: str, client: Client, events: str) -> None:
    arguments = [[server_url, database, events, str(n), str(INSERTS), str(ROWS)] for n in range(PROCESSES)]
    writers = [subprocess.Popen([sys.executable, WRITER, *argument]) for argument in arguments]
    assert [writer.wait(timeout=PATIENCE_S) for writer in writers] == [0] * PROCESSES
    found = client.query("SELECT count(), uniqExact(id) FROM events").first_row
    assert found == (PROCESSES * INSERTS * ROWS, PROCESSES * INSERTS * ROWS)


def test_a_fresh_client_finds_what_another_wrote(server_url: str, database: str, client: Client, events: str) -> None:
    client.insert(events, [[1], ["a"]], ["id", "text"], column_oriented=True)
    other = connect(server_url, database)
    assert other.command("SELECT count() FROM events") == 1
    other.close()
