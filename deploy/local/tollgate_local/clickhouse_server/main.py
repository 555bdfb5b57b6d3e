"""Opens the data folder, listens, serves, and stops in order."""

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import IO

import uvicorn

from tollgate_common.settings import load
from tollgate_local.clickhouse_server.app import App
from tollgate_local.clickhouse_server.engine import Engine
from tollgate_local.clickhouse_server.errors import CannotStartError, ClickHouseError
from tollgate_local.clickhouse_server.request import Credentials
from tollgate_local.clickhouse_server.settings import Settings

# How long running queries may go on after SIGTERM before they are killed, and then to answer that they were.
_GRACE_S = 2
_LAST_ANSWERS_S = 6
# Longer than the pools of clickhouse-connect keep a connection idle in practice, so that they find it open.
_KEEP_ALIVE_S = 30


class _Server(uvicorn.Server):
    """Ends what the grace period did not, so that clients get an answer rather than a broken connection."""

    def __init__(self, config: uvicorn.Config, engine: Engine, app: App) -> None:
        super().__init__(config)
        self._engine = engine
        self._app = app

    def stop_soon(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.create_task(self._end_queries())
        await super().shutdown(sockets)
        ending.cancel()
        await self._engine.stop()
        if self._engine.is_idle:
            await self._app.close()

    async def _end_queries(self) -> None:
        await asyncio.sleep(_GRACE_S)
        await self._engine.stop()


def main() -> None:
    settings = load(Settings)
    try:
        with _listen(settings.host, settings.port) as listener, _own(settings.data_path) as _:
            _serve(settings, listener)
    except CannotStartError as error:
        sys.exit(f"clickhouse: {error}")


def _serve(settings: Settings, listener: socket.socket) -> None:
    folder = settings.data_path.resolve()
    spool = _empty_folder(folder / "spool")
    engine = _open(folder / "engine", settings.workers)
    app = App(engine, Credentials(settings.user, settings.password.get_secret_value()), spool)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S + _LAST_ANSWERS_S,
    )
    server = _Server(config, engine, app)
    # uvicorn has its own handlers while it serves, and raises the signal that stopped it once more when it is done:
    # these take that one, so that the engine is closed too, and one that comes before it serves.
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop_signal, server.stop_soon)
    host, port = listener.getsockname()[:2]
    print(f"clickhouse: engine {engine.version} listens on http://{host}:{port}, data in {folder}", flush=True)
    server.run(sockets=[listener])
    if not engine.is_idle:
        # A statement that resists its kill must not hold up the stop: what was acknowledged is on disk already.
        os._exit(0)
    engine.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotStartError(
            f"cannot listen on {host}:{port}: {reason}; set TOLLGATE_CLICKHOUSE_PORT to a free port"
        ) from None


def _own(folder: Path) -> IO[str]:
    """The folder's lock file, locked as long as it is open; a killed process leaves it unlocked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise CannotStartError(f"cannot write to the data path {folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise CannotStartError(f"the data path {folder} is in use by process {owner}") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _open(folder: Path, workers: int) -> Engine:
    if "?" in str(folder):
        raise CannotStartError(f"the data path {folder} may not contain a question mark")
    try:
        return Engine(folder, workers)
    except ClickHouseError as error:
        raise CannotStartError(f"the engine cannot open {folder}: {error}") from None


def _empty_folder(folder: Path) -> Path:
    """Rows that a killed process was about to insert were never acknowledged; they go."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
