"""Starts the ClickHouse server as a process of its own: the engine must not be in a process that forks."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

from waiting import PATIENCE_S

COMMAND = (sys.executable, "-m", "tollgate_local.clickhouse_server")
POLL_S = 0.05

_SLOW_SELECT = "SELECT sleepEachRow(0.1), 'MARKER' FROM numbers(600) SETTINGS max_block_size = 1"


def environment(data_path: Path, **settings: str) -> dict[str, str]:
    ours = {f"TOLLGATE_CLICKHOUSE_{name.upper()}": value for name, value in settings.items()}
    return {**os.environ, "TOLLGATE_CLICKHOUSE_PORT": "0", "TOLLGATE_CLICKHOUSE_DATA_PATH": str(data_path), **ours}


def failed_start(data_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that is expected not to come up."""
    env = environment(data_path, **settings)
    return subprocess.run(COMMAND, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


class RunningServer:
    """A server on a free port; `url` is where it says it listens."""

    def __init__(self, data_path: Path, **settings: str) -> None:
        self.process = subprocess.Popen(
            COMMAND, env=environment(data_path, **settings), stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.search(r"http://\S+:\d+", line)
        assert match, f"the server said {line!r}"
        self.url = match[0]

    def kill(self) -> None:
        """As the machine's out-of-memory killer would."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(timeout=PATIENCE_S)


@contextmanager
def running_server(data_path: Path, **settings: str) -> Iterator[RunningServer]:
    server = RunningServer(data_path, **settings)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            server.stop()


def connect(
    url: str,
    database: str = "default",
    *,
    compress: bool | str = True,
    session_id: str | None = None,
    form_encode_query_params: bool = False,
) -> Client:
    """Without a session, unless one is named: only such a client may be shared by threads."""
    parts = urlsplit(url)
    return clickhouse_connect.get_client(
        host=parts.hostname or "",
        port=parts.port or 8123,
        username=parts.username or "default",
        password=parts.password or "",
        database=database,
        compress=compress,
        autogenerate_session_id=False,
        session_id=session_id,
        form_encode_query_params=form_encode_query_params,
    )


async def connect_async(url: str, database: str = "default", *, compress: bool | str = True) -> AsyncClient:
    parts = urlsplit(url)
    return await clickhouse_connect.get_async_client(
        host=parts.hostname or "",
        port=parts.port or 8123,
        username=parts.username or "default",
        password=parts.password or "",
        database=database,
        compress=compress,
        autogenerate_session_id=False,
    )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(POLL_S)


def running_queries(client: Client, marker: str) -> int:
    """How many queries run that carry `marker` in their text."""
    sql = (
        "SELECT count() FROM system.processes WHERE query LIKE {pattern:String} AND query NOT LIKE '%system.processes%'"
    )
    return int(scalar(client, sql, pattern=f"%{marker}%"))


def scalar(client: Client, sql: str, **parameters: object) -> Any:
    """The one value of a one-row result."""
    row = client.query(sql, parameters=parameters).first_row
    assert row is not None
    return row[0]


def slow_select(marker: str) -> str:
    """Runs for a minute, gives a row now and then, and is known by `marker` among the running queries."""
    return _SLOW_SELECT.replace("MARKER", marker)
