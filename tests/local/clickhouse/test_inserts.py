"""Contract: writing. Passes against a real ClickHouse server too."""

import base64
import http.client
import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import lz4.frame
import pytest
import zstandard
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from local.clickhouse.running import connect, connect_async, scalar
from waiting import PATIENCE_S

pytestmark = [pytest.mark.engines]

COLUMNS = ["id", "text"]
SYNCHRONOUS = {"async_insert": 0}


def count(client: Client) -> int:
    return int(scalar(client, "SELECT count() FROM events"))


def headers(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    user = base64.b64encode(f"{parts.username or 'default'}:{parts.password or ''}".encode()).decode()
    return {"Authorization": f"Basic {user}"}


def connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)


def post(url: str, path: str, body: bytes, **extra: str) -> tuple[int, str]:
    """A request as no client library would send it; gives the exception code or 0, and the text."""
    http_connection = connection(url)
    http_connection.request("POST", path, body=body, headers=headers(url) | extra)
    response = http_connection.getresponse()
    text = response.read().decode()
    http_connection.close()
    return int(response.headers.get("X-ClickHouse-Exception-Code", 0)), text


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
async def test_columns_are_inserted_in_each_encoding(
    server_url: str, database: str, events: str, *, compress: bool | str
) -> None:
    rows = 30_000
    # Letters that compress badly, so that the body is many frames.
    texts = [base64.b64encode(random.Random(n).randbytes(30)).decode() for n in range(rows)]
    client = connect(server_url, database, compress=compress)
    async_client = await connect_async(server_url, database, compress=compress)
    assert client.insert(events, [list(range(rows)), texts], COLUMNS, column_oriented=True).written_rows == rows
    later: list[list[Any]] = [list(range(rows, 2 * rows)), texts]
    assert (await async_client.insert(events, later, COLUMNS, column_oriented=True)).written_rows == rows
    stored = client.query("SELECT id, text FROM events ORDER BY id").result_columns
    assert (list(stored[0]), list(stored[1])) == (list(range(2 * rows)), texts + texts)
    client.close()
    await async_client.close()


def test_a_big_lz4_insert_of_many_frames_is_one_part(client: Client, events: str) -> None:
    rows = 400_000
    client.insert(events, [list(range(rows)), [f"text {n}" for n in range(rows)]], COLUMNS, column_oriented=True)
    found = client.query("SELECT count(), sum(id), uniqExact(text), uniqExact(_part) FROM events").first_row
    assert found == (rows, sum(range(rows)), rows, 1)


def test_every_byte_arrives(client: Client, events: str) -> None:
    """Line ends, quotes and zeros in the rows mean nothing to whoever carries them."""
    texts = [f"{chr(n)}\n\n;{chr(n)}" for n in range(1, 256)] + ["", "\0", "FORMAT CSV\n", "' ; SELECT 1 --"]
    client.insert(events, [list(range(len(texts))), texts], COLUMNS, column_oriented=True)
    assert list(client.query("SELECT text FROM events ORDER BY id").result_columns[0]) == texts


def test_no_rows_are_no_error(client: Client, events: str) -> None:
    client.raw_insert(events, COLUMNS, b"", fmt="CSV")
    assert count(client) == 0


@pytest.mark.parametrize(
    ("fmt", "body"),
    [
        ("CSV", b'1,"a"\n2,"b"\n'),
        ("TSV", b"1\ta\n2\tb\n"),
        ("JSONEachRow", b'{"id":1,"text":"a"}\n{"id":2,"text":"b"}\n'),
        ("Values", b"(1, 'a'), (2, 'b')"),
    ],
)
def test_text_formats_are_read(client: Client, events: str, fmt: str, body: bytes) -> None:
    client.raw_insert(events, COLUMNS, body, fmt=fmt)
    assert client.query("SELECT id, text FROM events ORDER BY id").result_rows == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(("encoding", "compress"), [("lz4", lz4.frame.compress), ("zstd", zstandard.compress)])
def test_a_compressed_raw_insert_of_two_frames(client: Client, events: str, encoding: str, compress: object) -> None:
    assert callable(compress)
    client.raw_insert(events, COLUMNS, compress(b"1,a\n") + compress(b"2,b\n"), fmt="CSV", compression=encoding)
    assert count(client) == 2


def test_inserts_as_commands(client: Client, events: str) -> None:
    client.command("INSERT INTO events VALUES (1, 'a;\n\nb'), (2, {x:String})", parameters={"x": "it's"})
    client.command("INSERT INTO events (id, text) SELECT number, 'n' FROM numbers(10, 5)")
    client.command("INSERT INTO events FORMAT JSONEachRow", data='{"id": 3, "text": "c"}')
    assert client.query("SELECT text FROM events WHERE id < 10 ORDER BY id").result_columns == [
        ["a;\n\nb", "it's", "c"]
    ]
    assert count(client) == 8


def test_settings_in_the_statement_hold(client: Client, events: str) -> None:
    """`INSERT ... SETTINGS ... FORMAT`: between the columns and the rows."""
    for _ in range(2):
        client.command(
            "INSERT INTO events (id, text) SETTINGS insert_deduplication_token = 'one', async_insert = 0 FORMAT CSV",
            data="1,a\n",
        )
    assert count(client) == 1


def test_a_token_drops_the_second_insert_whatever_it_carries(client: Client, events: str) -> None:
    inserts: list[list[list[Any]]] = [[[1], ["a"]], [[1], ["a"]], [[2], ["b"]]]
    for rows in inserts:
        settings = {**SYNCHRONOUS, "insert_deduplication_token": "topic:0:0-1"}
        client.insert(events, rows, COLUMNS, column_oriented=True, settings=settings)
    assert client.query("SELECT id FROM events").result_rows == [(1,)]
    settings = {**SYNCHRONOUS, "insert_deduplication_token": "topic:0:1-2"}
    client.insert(events, [[1], ["a"]], COLUMNS, column_oriented=True, settings=settings)
    assert count(client) == 2


@pytest.mark.parametrize("settings", [{"async_insert": 0}, {"async_insert": 1, "wait_for_async_insert": 1}])
async def test_a_violated_constraint_refuses_the_insert(
    client: Client, async_client: AsyncClient, events: str, settings: dict[str, int]
) -> None:
    rows: list[list[Any]] = [[1, 2_000_000_000], ["a", "b"]]
    with pytest.raises(DatabaseError) as caught:
        client.insert(events, rows, COLUMNS, column_oriented=True, settings=settings)
    assert caught.value.code == 469
    with pytest.raises(DatabaseError) as caught:
        await async_client.insert(events, rows, COLUMNS, column_oriented=True, settings=settings)
    assert caught.value.code == 469
    assert count(client) == 0


def test_a_stored_deadline_refuses_a_late_insert(client: Client) -> None:
    client.command("""
        CREATE TABLE late (id UInt64, insert_by DateTime, CONSTRAINT fresh CHECK insert_by >= now())
        ENGINE = MergeTree ORDER BY id
    """)
    now = int(time.time())
    client.insert("late", [[1], [now + 600]], ["id", "insert_by"], column_oriented=True, settings=SYNCHRONOUS)
    with pytest.raises(DatabaseError) as caught:
        client.insert("late", [[2], [now - 600]], ["id", "insert_by"], column_oriented=True, settings=SYNCHRONOUS)
    assert (caught.value.code, scalar(client, "SELECT count() FROM late")) == (469, 1)


def test_rows_that_cannot_be_read_insert_nothing(client: Client, events: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert(events, COLUMNS, b"1,a\nnot a number,b\n", fmt="CSV")
    assert caught.value.code == 27
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert("no_such_table", COLUMNS, b"1,a\n", fmt="CSV")
    assert caught.value.code == 60
    assert count(client) == 0


def test_a_compressed_body_cut_short_inserts_nothing(
    server_url: str, client: Client, database: str, events: str
) -> None:
    frame = lz4.frame.compress(b"1,a\n" * 1000)
    path = f"/?database={database}&query=" + quote("INSERT INTO events FORMAT CSV")
    code, _ = post(server_url, path, frame[:-5], **{"Content-Encoding": "lz4"})
    assert code != 0
    assert count(client) == 0


@pytest.mark.parametrize("chunked", [True, False])
def test_a_client_that_dies_while_it_sends_inserts_nothing(
    server_url: str, client: Client, database: str, events: str, *, chunked: bool
) -> None:
    rows = b"".join(b"%d,text\n" % n for n in range(200_000))

    def torn_body() -> Iterator[bytes]:
        yield from (rows[start : start + 65_536] for start in range(0, len(rows) // 2, 65_536))
        raise ConnectionAbortedError

    sender = connection(server_url)
    length = {} if chunked else {"Content-Length": str(len(rows))}
    path = f"/?database={database}&query=" + quote("INSERT INTO events FORMAT CSV")
    with pytest.raises(ConnectionAbortedError):
        sender.request("POST", path, body=torn_body(), headers=headers(server_url) | length, encode_chunked=chunked)
    sender.close()
    for _ in range(10):
        assert count(client) == 0
        time.sleep(0.05)
    assert client.insert(events, [[1], ["a"]], COLUMNS, column_oriented=True).written_rows == 1


def test_a_statement_split_between_the_address_and_the_body(
    server_url: str, client: Client, database: str, events: str
) -> None:
    path = f"/?database={database}&query=" + quote("INSERT INTO events (id, text)")
    assert post(server_url, path, b"FORMAT CSV\n1,a\n") == (0, "")
    assert count(client) == 1
