"""The classifier reads text alone: no engine, no network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_local.clickhouse_server.errors import ClickHouseError
from tollgate_local.clickhouse_server.statement import CLIENT_QUERY_ID, STATEMENT_LIMIT_BYTES, Kind, parse

QUOTED = st.binary(max_size=20).map(lambda raw: b"'" + raw.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'")
COMMENT = st.binary(max_size=20).map(lambda raw: b"/*" + raw.replace(b"*/", b"") + b" */")


@pytest.mark.parametrize(
    ("sql", "kind", "fmt"),
    [
        (b"SELECT 1", Kind.SELECT, None),
        (b"  -- note\n/* ; */ select 1 format native", Kind.SELECT, "native"),
        (b"SELECT 1 FORMAT JSON;", Kind.SELECT, "JSON"),
        (b"SELECT 1 FORMAT JSON SETTINGS max_threads = 1;;", Kind.SELECT, "JSON"),
        (b"SELECT format FROM t", Kind.SELECT, None),
        (b"SELECT a AS format, b.format x FROM t", Kind.SELECT, None),
        (b"SELECT 'FORMAT CSV'", Kind.SELECT, None),
        (b"SELECT (SELECT 1 FORMAT CSV)", Kind.SELECT, None),
        (b"WITH 1 AS x SELECT x", Kind.SELECT, None),
        (b"(SELECT 1) UNION ALL (SELECT 2)", Kind.SELECT, None),
        (b"FROM t SELECT a", Kind.SELECT, None),
        (b"SHOW TABLES FORMAT TSV", Kind.READ, "TSV"),
        (b"EXPLAIN SELECT 1", Kind.READ, None),
        (b"DESCRIBE TABLE t", Kind.READ, None),
        (b"EXISTS TABLE t", Kind.READ, None),
        (b"CREATE TABLE t (id UInt8) ENGINE = Memory", Kind.WRITE, None),
        (b"INSERT INTO t SELECT 1", Kind.WRITE, None),
        (b"INSERT INTO t (a) SELECT format, values FROM input_of_x", Kind.WRITE, None),
        (b"INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x", Kind.WRITE, None),
        (b"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", Kind.WRITE, None),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", Kind.WRITE, None),
        (b"SET max_threads = 1", Kind.WRITE, None),
        (b"no sql at all", Kind.WRITE, None),
    ],
)
def test_kinds_and_formats(sql: bytes, kind: Kind, fmt: str | None) -> None:
    statement = parse(sql)
    assert (statement.kind, statement.format, statement.text) == (kind, fmt, sql)


@pytest.mark.parametrize(
    ("sql", "head"),
    [
        (b"SELECT 1 FORMAT Native", b"SELECT 1 "),
        (b"SELECT 1 ; -- done", b"SELECT 1"),
        (b"SELECT 1 FORMAT Native SETTINGS a = 1;", b"SELECT 1  SETTINGS a = 1"),
        (b"SHOW TABLES", b"SHOW TABLES"),
    ],
)
def test_the_head_of_a_read_can_stand_inside_another(sql: bytes, head: bytes) -> None:
    assert parse(sql).head == head


@pytest.mark.parametrize(
    ("sql", "head", "settings", "fmt", "rows"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", b"INSERT INTO t ", b"", "CSV", b"1,2"),
        (b"insert into t format CSV \r\n\n1", b"insert into t ", b"", "CSV", b"\n1"),
        (
            b"INSERT INTO t (a, format, values) FORMAT Native\n\n\0",
            b"INSERT INTO t (a, format, values) ",
            b"",
            "Native",
            b"\n\0",
        ),
        (b"INSERT INTO format FORMAT CSV 1", b"INSERT INTO format ", b"", "CSV", b"1"),
        (b"INSERT INTO db.values VALUES (1)", b"INSERT INTO db.values ", b"", "Values", b" (1)"),
        (
            b"INSERT INTO TABLE settings SETTINGS a = 1 FORMAT TSV\n",
            b"INSERT INTO TABLE settings ",
            b"SETTINGS a = 1 ",
            "TSV",
            b"",
        ),
        (
            b"INSERT INTO t SETTINGS a = 'FORMAT X' VALUES (1)",
            b"INSERT INTO t ",
            b"SETTINGS a = 'FORMAT X' ",
            "Values",
            b" (1)",
        ),
        (
            b"INSERT INTO FUNCTION file('x', 'CSV') FORMAT CSV\n1",
            b"INSERT INTO FUNCTION file('x', 'CSV') ",
            b"",
            "CSV",
            b"1",
        ),
        (b"INSERT INTO `FORMAT` (`VALUES`) FORMAT CSV\n", b"INSERT INTO `FORMAT` (`VALUES`) ", b"", "CSV", b""),
    ],
)
def test_an_insert_is_parted_from_its_rows(sql: bytes, head: bytes, settings: bytes, fmt: str, rows: bytes) -> None:
    statement = parse(sql)
    assert statement.kind is Kind.UPLOAD
    assert (statement.head, statement.settings, statement.format) == (head, settings, fmt)
    assert sql[statement.rows_at :] == rows


def test_an_upload_reads_a_file_in_the_order_of_the_grammar() -> None:
    sql = parse(b"INSERT INTO t (a) SETTINGS b = 1 FORMAT CSV\n1").reading_file("/dev/fd/5")
    assert b" ".join(sql.split()) == (
        b"INSERT INTO t (a) FROM INFILE '/dev/fd/5' COMPRESSION 'none' SETTINGS b = 1 FORMAT CSV"
    )


@given(st.binary(max_size=300))
def test_rows_are_never_looked_at(rows: bytes) -> None:
    statement = parse(b"INSERT INTO t FORMAT Native\n" + rows)
    assert (statement.kind, statement.rows_at) == (Kind.UPLOAD, len(b"INSERT INTO t FORMAT Native\n"))


@given(QUOTED, COMMENT)
def test_what_stands_in_quotes_and_comments_means_nothing(quoted: bytes, comment: bytes) -> None:
    statement = parse(b"SELECT " + quoted + comment + b" FORMAT CSV " + comment + b"; " + comment)
    assert (statement.kind, statement.format) == (Kind.SELECT, "CSV")


@given(st.binary(max_size=200))
def test_any_text_is_classified_or_refused_with_a_code(sql: bytes) -> None:
    try:
        text = parse(sql).text
    except ClickHouseError:
        return
    assert text == sql


@pytest.mark.parametrize("quote", [b"'", b'"', b"`", b"/*", b"$x$"])
def test_an_unclosed_quote_is_read_in_one_pass(quote: bytes) -> None:
    assert parse(b"SELECT " + quote + b"\\" * 3 + b"x" * (2 * STATEMENT_LIMIT_BYTES)).kind is Kind.SELECT


@pytest.mark.parametrize("sql", [b"", b" ;", b"-- nothing", b"SELECT 1; SELECT 2", b"SET a = 1; ; DROP TABLE t"])
def test_no_statement_or_several_are_a_syntax_error(sql: bytes) -> None:
    with pytest.raises(ClickHouseError) as caught:
        parse(sql)
    assert (caught.value.code, caught.value.status) == (62, 400)


@pytest.mark.parametrize(
    "sql",
    [
        b"CREATE TABLE q (a Int8) ENGINE = Kafka('h:1', 't', 'g', 'CSV')",
        b"create table q (a Int8) engine Kafka settings a = 1",
        b'ATTACH TABLE q (a Int8) ENGINE="Kafka"',
        b"CREATE OR REPLACE TABLE q (a Int8) ENGINE /* */ = `Kafka`()",
    ],
)
def test_kafka_tables_are_refused(sql: bytes) -> None:
    with pytest.raises(ClickHouseError, match="Kafka is not supported"):
        parse(sql)


@pytest.mark.parametrize(
    "sql",
    [
        b"CREATE TABLE q (a Int8) ENGINE = Memory COMMENT 'ENGINE = Kafka'",
        b"SELECT * FROM system.tables WHERE engine = 'Kafka'",
        b"CREATE TABLE kafka (a Int8) ENGINE = Memory",
    ],
)
def test_the_word_kafka_alone_is_no_offence(sql: bytes) -> None:
    assert parse(sql).text == sql


def test_input_is_refused() -> None:
    with pytest.raises(ClickHouseError, match="input"):
        parse(b"INSERT INTO t SELECT a FROM input('a Int8') FORMAT CSV\n1")


def test_kill_query_finds_the_clients_own_id() -> None:
    sql = parse(b"KILL QUERY WHERE query_id = 'query_id' OR `query_id` = 'b' SYNC").text
    assert sql == b"KILL QUERY WHERE %b = 'query_id' OR %b = 'b' SYNC" % (CLIENT_QUERY_ID, CLIENT_QUERY_ID)
