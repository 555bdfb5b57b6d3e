"""An engine for one benchmark, so that its CPU time can be measured separately."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from clickhouse_connect.driver.exceptions import ClickHouseError

from tollgate_common.clickhouse.migrations import migrate_clickhouse
from tollgate_local.ports import free_port


@contextmanager
def own_engine(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Start an engine in a folder and yield its URL and its process."""
    port = free_port()
    environment = os.environ | {
        "TOLLGATE_CLICKHOUSE_PORT": str(port),
        "TOLLGATE_CLICKHOUSE_DATA_PATH": str(folder),
        "TOLLGATE_CLICKHOUSE_WORKERS": "12",
    }
    process = psutil.Popen([sys.executable, "-m", "tollgate_local.clickhouse_server"], env=environment)
    try:
        yield f"http://default:@127.0.0.1:{port}/bench", process
    finally:
        process.terminate()
        process.wait(60)


async def until_up(url: str, package: str) -> None:
    """Wait for the engine, then create a package's tables."""
    for _ in range(300):
        try:
            await migrate_clickhouse(url, package)
        except (OSError, ClickHouseError):
            await asyncio.sleep(0.2)
        else:
            return
    raise TimeoutError("the engine did not start within 60 s")


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
