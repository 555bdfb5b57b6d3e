"""Contract: sessions. Passes against a real ClickHouse server too."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from local.clickhouse.running import connect, running_queries, slow_select, wait_until
from waiting import PATIENCE_S

pytestmark = [pytest.mark.engines]


@pytest.fixture
def session_id() -> str:
    return uuid4().hex


@pytest.fixture
def session(server_url: str, database: str, session_id: str) -> Iterator[Client]:
    client = connect(server_url, database, session_id=session_id)
    yield client
    client.close()


def test_a_temporary_table_lives_in_its_session(client: Client, session: Client) -> None:
    session.command("CREATE TEMPORARY TABLE mine (id UInt8)")
    session.insert("mine", [[1], [2]], ["id"], database="")
    assert session.command("SELECT count() FROM mine") == 2
    with pytest.raises(DatabaseError) as caught:
        client.command("SELECT count() FROM mine")
    assert caught.value.code == 60


def test_set_lasts_for_the_session(session: Client) -> None:
    session.command("SET max_result_rows = 5, result_overflow_mode = 'throw'")
    with pytest.raises(DatabaseError) as caught:
        session.query("SELECT number FROM numbers(10)")
    assert caught.value.code == 396


def test_settings_and_external_tables_of_a_query_do_not_outlive_it(session: Client) -> None:
    for text in ("one", "two"):
        external = ExternalData(file_name="beside.csv", data=text.encode(), fmt="CSV", structure="text String")
        found = session.query(
            "SELECT text, getSetting('max_block_size') FROM beside",
            external_data=external,
            settings={"max_block_size": 77},
        )
        assert found.first_row == (text, 77)
    assert session.command("SELECT getSetting('max_block_size')") != 77
    session.command("SET max_block_size = 88")
    assert session.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 77}).first_row == (77,)
    assert session.command("SELECT getSetting('max_block_size')") == 88


def test_a_failed_query_leaves_the_session_as_it_was(session: Client) -> None:
    for settings in ({"max_block_size": 77, "no_such_setting": 1}, {"max_block_size": 77}):
        with pytest.raises(DatabaseError):
            session.raw_query("SELECT no_such_column", settings={f"{key}": value for key, value in settings.items()})
    assert session.command("SELECT getSetting('max_block_size')") != 77


def test_queries_follow_each_other_at_once(session: Client) -> None:
    """The session is free again when the last byte of an answer has come."""
    for number in range(100):
        with session.query_rows_stream(f"SELECT {number}") as rows:
            assert list(rows) == [(number,)]


def test_a_session_in_use_refuses_a_second_query(
    server_url: str, client: Client, session: Client, session_id: str
) -> None:
    marker = f"busy_{session_id}"
    intruder = connect(server_url, session_id=uuid4().hex)
    with ThreadPoolExecutor(1) as pool:
        query_id = uuid4().hex
        running = pool.submit(session.query, slow_select(marker), settings={"query_id": query_id})
        wait_until(lambda: running_queries(client, marker) > 0, "the slow query runs")
        with pytest.raises(DatabaseError) as caught:
            intruder.query("SELECT 1", settings={"session_id": session_id})
        assert caught.value.code == 373
        client.command("KILL QUERY WHERE query_id = {id:String} SYNC", parameters={"id": query_id})
        with pytest.raises(DatabaseError):
            running.result(timeout=PATIENCE_S)
    intruder.close()
    assert session.command("SELECT 1") == 1


def test_a_session_that_must_exist(client: Client, session_id: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT 1", settings={"session_id": session_id, "session_check": 1})
    assert caught.value.code == 372


def test_an_idle_session_expires(client: Client, session_id: str) -> None:
    def is_expired() -> bool:
        try:
            client.query("SELECT 1", settings={"session_id": session_id, "session_check": 1, "session_timeout": 3600})
        except DatabaseError as error:
            return error.code == 372
        # It was still there, and this question prolonged it: start again.
        client.query("SELECT 1", settings={"session_id": session_id, "session_timeout": 0})
        return False

    client.query("SELECT 1", settings={"session_id": session_id, "session_timeout": 0})
    wait_until(is_expired, "the session expires")
