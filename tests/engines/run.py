"""One run of pytest, and the engines that its workers share."""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from filelock import FileLock

from tollgate_local.engines import EngineAddresses
from tollgate_local.instance import running_pid

# A developer's own engines, kept running from one test run to the next by `tollgate-local engines`.
ENGINES_VARIABLE = "TOLLGATE_TEST_ENGINES"
# The folder of the run, which pytest's main process tells its workers.
RUN_VARIABLE = "TOLLGATE_TEST_RUN"
TESTS = Path(__file__).resolve().parents[1]
# The first run of all fetches Kafka's jars, or pulls images.
START_WITHIN_S = 600
STOP_WITHIN_S = 60


class EnginesError(Exception):
    """The engines that tests need are not there; says what to do."""


def alive_file(folder: Path) -> Path:
    """Locked by pytest's main process for as long as it lives."""
    return folder / "alive"


def addresses_file(folder: Path) -> Path:
    """Written by the keeper once the engines are ready."""
    return folder / "engines.json"


def keeper_file(folder: Path) -> Path:
    """Locked by the keeper for as long as it lives."""
    return folder / "keeper.pid"


class Run:
    """Held by pytest's main process from its first to its last moment."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tollgate-test-"))
        self.folder.chmod(0o711)  # PostgreSQL's user, which is not ours when we are root, must pass through
        self._alive = alive_file(self.folder).open("w")
        fcntl.flock(self._alive.fileno(), fcntl.LOCK_EX)
        os.environ[RUN_VARIABLE] = str(self.folder)

    def end(self) -> None:
        """Lets the keeper go and waits for it, so that nothing of this run is left behind."""
        self._alive.close()
        deadline = time.monotonic() + STOP_WITHIN_S
        while running_pid(keeper_file(self.folder)) is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)


def find_engines() -> EngineAddresses:
    """A developer's own engines where the variable names them, else the run's, started by whoever comes first."""
    named = os.environ.get(ENGINES_VARIABLE)
    if named:
        return read_addresses(Path(named))
    folder = Path(os.environ[RUN_VARIABLE])
    with FileLock(folder / "start.lock"):
        log = folder / "keeper.log"
        if not log.exists():
            wait_for_keeper(start_keeper(folder, log), folder)
        if not addresses_file(folder).exists():
            raise EnginesError(f"the engines did not start:\n{log.read_text()}")
    return read_addresses(addresses_file(folder))


def read_addresses(path: Path) -> EngineAddresses:
    try:
        return msgspec.json.decode(path.read_bytes(), type=EngineAddresses)
    except (OSError, msgspec.DecodeError) as error:
        raise EnginesError(
            f"{ENGINES_VARIABLE} names {path}, which does not tell where engines are: {error}; "
            "start some with `tollgate-local engines`, or unset the variable to let the tests start their own"
        ) from error


def start_keeper(folder: Path, log: Path) -> int:
    """The keeper's process id. It outlives the worker that starts it, so no Popen object may watch over it."""
    argv = [sys.executable, "-m", "engines.keeper", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1"}
    output = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        to_log = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
        return os.posix_spawn(sys.executable, argv, environment, file_actions=to_log)
    finally:
        os.close(output)


def wait_for_keeper(pid: int, folder: Path) -> None:
    """Returns when the engines are ready, the keeper has ended, or it has had its time."""
    deadline = time.monotonic() + START_WITHIN_S
    while not addresses_file(folder).exists() and time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return
        time.sleep(0.1)
