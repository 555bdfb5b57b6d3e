"""The ClickHouse engine on this machine: our server process in front of the `chdb` wheel."""

import sys
from functools import partial
from pathlib import Path

import httpx

from tollgate_local.ports import HOST
from tollgate_local.processes import ProcessSpec


class ClickHouse:
    """Listens on 127.0.0.1 with ClickHouse's HTTP interface; its data is in `home/data`."""

    name = "clickhouse"

    def __init__(self, home: Path, log_file: Path, port: int) -> None:
        self._data = home / "data"
        self._log_file = log_file
        self._port = port

    @property
    def url(self) -> str:
        """With user and password, without a database."""
        return f"http://default:@{HOST}:{self._port}"

    async def prepare(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)

    def spec(self) -> ProcessSpec:
        return ProcessSpec(
            name=self.name,
            argv=(sys.executable, "-m", "tollgate_local.clickhouse_server"),
            env={
                "TOLLGATE_CLICKHOUSE_HOST": HOST,
                "TOLLGATE_CLICKHOUSE_PORT": str(self._port),
                "TOLLGATE_CLICKHOUSE_DATA_PATH": str(self._data),
            },
            log_file=self._log_file,
            is_ready=partial(clickhouse_answers, self.url),
            stop_within_s=20,
        )


async def clickhouse_answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(url, params={"query": "SELECT 1"})
    except httpx.TransportError:
        return False
    return answer.text == "1\n"
