"""Contract: reading. Passes against a real ClickHouse server too."""

from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from local.clickhouse.running import connect, connect_async, scalar

pytestmark = [pytest.mark.engines]

ENCODINGS = ["lz4", "zstd", "gzip", "deflate", False]
BROKEN_LATE = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_threads = 1"


def error_code(client: Client, sql: str) -> int | None:
    with pytest.raises(DatabaseError) as caught:
        client.query(sql)
    return caught.value.code


def test_rows_come_back_with_their_types(client: Client) -> None:
    result = client.query(
        "SELECT toInt64(-5) AS n, 'é' AS s, toDateTime('2026-01-02 03:04:05', 'UTC') AS t, [1, 2] AS a"
    )
    assert result.column_names == ("n", "s", "t", "a")
    assert [kind.name for kind in result.column_types] == ["Int64", "String", "DateTime", "Array(UInt8)"]
    assert result.result_rows[0][:2] == (-5, "é")
    assert result.result_rows[0][3] == [1, 2]


async def test_the_async_client_reads_and_writes(async_client: AsyncClient) -> None:
    await async_client.command("CREATE TABLE t (id UInt64, text String) ENGINE = MergeTree ORDER BY id")
    summary = await async_client.insert("t", [[1, 2], ["a", "b"]], column_names=["id", "text"], column_oriented=True)
    assert summary.written_rows == 2
    result = await async_client.query("SELECT id, text FROM t WHERE id > {low:UInt64}", parameters={"low": 1})
    assert result.result_rows == [(2, "b")]


def test_a_command_returns_its_value(client: Client) -> None:
    assert client.command("SELECT 42") == 42
    assert client.command("SELECT 'x', 'y'") == ["x", "y"]


def test_a_command_without_a_result_returns_a_summary(client: Client) -> None:
    summary = client.command("CREATE TABLE t (id UInt8) ENGINE = Memory")
    assert not isinstance(summary, (int, str))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT toInt64(1) AS a, 'x' AS b WHERE 0",
        "WITH 1 AS one SELECT toInt64(one) AS a, 'x' AS b WHERE 0 -- the end",
        "SELECT toInt64(1) AS a, 'x' AS b WHERE 0 UNION ALL SELECT 2, 'y' WHERE 0;",
        "(SELECT toInt64(1) AS a, 'x' AS b LIMIT 0 OFFSET 1)",
    ],
)
def test_an_empty_result_keeps_its_columns(client: Client, sql: str) -> None:
    result = client.query(sql)
    assert result.row_count == 0
    assert result.column_names == ("a", "b")
    assert [kind.name for kind in result.column_types] == ["Int64", "String"]


def test_an_empty_result_with_parameters_and_settings_keeps_its_columns(client: Client) -> None:
    result = client.query(
        "SELECT {x:String} AS x, getSetting('max_threads') AS n WHERE 0",
        parameters={"x": "v"},
        settings={"max_threads": 1},
    )
    assert result.column_names == ("x", "n")


def test_an_empty_show_keeps_its_column(client: Client) -> None:
    assert client.query("SHOW TABLES").column_names == ("name",)
    with client.query_rows_stream("SELECT 'x' AS b WHERE 0") as rows:
        assert list(rows) == []


def test_limit_zero_asks_for_columns_only(client: Client) -> None:
    assert client.query("SELECT 1 AS a, 'x' AS b LIMIT 0").column_names == ("a", "b")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("String", "it's a \\ \t\n'quoted' `text` é"),
        ("Array(String)", ["a", "it's", "b,c"]),
        ("Int64", -(2**63)),
        ("Nullable(String)", None),
        ("DateTime('UTC')", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("Array(UInt8)", [1, 2, 3]),
    ],
)
def test_parameters_are_bound_by_the_server(client: Client, kind: str, value: object) -> None:
    shown = "toTimeZone({x:%s}, 'UTC')" if kind.startswith("DateTime") else "{x:%s}"
    result = client.query(f"SELECT {shown % kind} AS x", parameters={"x": value}, tz_mode="aware")
    assert result.result_rows[0][0] == value


def test_a_parameter_cannot_end_its_string(client: Client) -> None:
    hostile = "'; DROP TABLE events; --"
    assert scalar(client, "SELECT {x:String}", x=hostile) == hostile


def test_settings_hold_for_one_query(client: Client) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT number FROM numbers(10)", settings={"max_result_rows": 5, "result_overflow_mode": "throw"})
    assert caught.value.code == 396
    assert client.query("SELECT number FROM numbers(10)").row_count == 10


@pytest.mark.parametrize("compress", ENCODINGS)
def test_big_selects_stream_in_blocks(server_url: str, *, compress: bool | str) -> None:
    client = connect(server_url, compress=compress)
    with client.query_column_block_stream("SELECT number, toString(number) FROM numbers(2000000)") as blocks:
        counts, total = zip(*((len(block[0]), sum(block[0])) for block in blocks), strict=True)
    client.close()
    assert len(counts) > 1
    assert (sum(counts), sum(total)) == (2_000_000, sum(range(2_000_000)))


async def test_the_async_client_streams(async_client: AsyncClient) -> None:
    total = 0
    async with await async_client.query_rows_stream("SELECT number FROM numbers(300000)") as rows:
        async for (number,) in rows:
            total += number
    assert total == sum(range(300_000))


@pytest.mark.parametrize("compress", ENCODINGS)
async def test_whole_results_come_in_each_encoding(server_url: str, *, compress: bool | str) -> None:
    client, async_client = connect(server_url, compress=compress), await connect_async(server_url, compress=compress)
    sql = "SELECT number, repeat('x', 100) FROM numbers(50000)"
    assert client.query(sql).result_columns == (await async_client.query(sql)).result_columns
    client.close()
    await async_client.close()


def test_raw_formats_come_as_the_engine_writes_them(client: Client) -> None:
    sql = "SELECT number AS n FROM numbers(2)"
    assert client.raw_query(sql, fmt="JSONEachRow") == b'{"n":0}\n{"n":1}\n'
    assert client.raw_query(sql, fmt="CSVWithNames") == b'"n"\n0\n1\n'
    assert client.raw_query(sql, fmt="TabSeparatedWithNames") == b"n\n0\n1\n"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM no_such_table", 60),
        ("SELEC 1", 62),
        ("1 + 1", 62),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT no_such_column", 47),
        ("SELECT no_such_function(1)", 46),
        ("SELECT throwIf(1)", 395),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115),
        ("SELECT * FROM no_such_database.t", 81),
        ("SELECT count() FROM numbers(100000000000) SETTINGS max_execution_time = 0.2", 159),
    ],
)
def test_errors_carry_clickhouse_codes(client: Client, sql: str, code: int) -> None:
    assert error_code(client, sql) == code


def test_an_unknown_database_is_named(server_url: str) -> None:
    client = connect(server_url)
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT 1", settings={"database": "no_such_database"})
    client.close()
    assert caught.value.code == 81


def test_a_wrong_password_is_refused(server_url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(server_url.replace("http://", "http://nobody:wrong@"))
    assert caught.value.code == 516


@pytest.mark.parametrize("compress", ENCODINGS)
def test_an_error_in_mid_stream_reaches_the_reader(server_url: str, *, compress: bool | str) -> None:
    client = connect(server_url, compress=compress)
    with pytest.raises(StreamFailureError) as caught, client.query_row_block_stream(BROKEN_LATE) as blocks:
        for _ in blocks:
            pass
    client.close()
    assert caught.value.code == 395


def test_a_failed_query_leaves_the_connection_usable(client: Client) -> None:
    for _ in range(20):
        assert error_code(client, "SELECT throwIf(number = 3) FROM numbers(10)") == 395
    assert client.command("SELECT 1") == 1


def test_external_data_joins_a_query(client: Client) -> None:
    external = ExternalData(
        file_name="wanted.csv", data=b"1,one\n3,three\n", fmt="CSV", structure="id UInt64, text String"
    )
    external.add_file(file_name="pairs.tsv", data=b"3\t['a','b']\n", fmt="TSV", types="UInt64,Array(String)")
    sql = "SELECT text, _2 FROM wanted LEFT JOIN pairs ON pairs._1 = wanted.id ORDER BY 1"
    assert client.query(sql, external_data=external).result_rows == [("one", []), ("three", ["a", "b"])]


def test_form_encoded_parameters_are_understood(server_url: str) -> None:
    client = connect(server_url, form_encode_query_params=True)
    long_list = [f"value {n}" for n in range(5_000)]
    assert client.query("SELECT length({x:Array(String)})", parameters={"x": long_list}).first_row == (5_000,)
    client.close()


def test_an_aggregate_projection_answers(client: Client) -> None:
    client.command("""
        CREATE TABLE hits (account UInt64, ts DateTime, tokens UInt64, PROJECTION hourly (
            SELECT account, toStartOfHour(ts), sum(tokens), count() GROUP BY account, toStartOfHour(ts)))
        ENGINE = MergeTree ORDER BY (account, ts)
    """)
    client.command(
        "INSERT INTO hits SELECT number % 3, toDateTime('2026-01-01 00:00:00') + number, 2 FROM numbers(30000)"
    )
    sql = "SELECT toStartOfHour(ts) AS hour, sum(tokens) FROM hits WHERE account = 1 GROUP BY hour ORDER BY hour"
    rows = client.query(sql, settings={"force_optimize_projection": 1}).result_rows
    assert sum(tokens for _, tokens in rows) == 20_000
    assert (
        error_code(client, "SELECT max(ts) FROM hits WHERE account = 1 SETTINGS force_optimize_projection = 1") == 584
    )
