"""A test run's engines end with it, however it ends."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engines.run import ENGINES_VARIABLE, TESTS, keeper_file
from tollgate_local.instance import running_pid
from waiting import until

# A busy machine takes long to start a JVM; what is tested is not how long.
WAITS = "waits"
pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the run below puts its own; PostgreSQL's user must be able to enter it."""
    folder = Path(tempfile.mkdtemp(prefix="tollgate-test-run-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
async def test_nothing_is_left_of_an_interrupted_run(folder: Path, end: signal.Signals) -> None:
    run = await start_run(folder)
    try:
        await until((folder / WAITS).exists, "the test waits")
        (home,) = runs_in(folder)
        keeper = running_pid(keeper_file(home))
        assert keeper is not None
        engines = psutil.Process(keeper).children(recursive=True)
        assert {"java", "postgres"} <= {process.name() for process in engines}
    finally:
        run.send_signal(end)
        await run.wait()

    await until(
        lambda: not any(engine.is_running() for engine in engines),
        "the engines have stopped",
    )
    await until(lambda: not home.exists(), "the run's folder is gone")


def runs_in(folder: Path) -> list[Path]:
    return list(folder.glob("tollgate-test-*"))


async def start_run(folder: Path) -> asyncio.subprocess.Process:
    """A run of pytest that waits in a test until it is ended."""
    test = folder / "test_that_waits.py"
    test.write_text(
        "import pathlib, signal, time, pytest\n\n@pytest.mark.engines\ndef test_waits(engines: object) -> None:\n"
        # It is ignored in what a shell runs in the background, and in all that comes of it.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"    pathlib.Path({str(folder / WAITS)!r}).touch()\n    time.sleep(600)\n"
    )
    shutil.copy(TESTS / "conftest.py", folder)
    environment = {name: value for name, value in os.environ.items() if name != ENGINES_VARIABLE}
    options = ["-c", str(TESTS.parent / "pyproject.toml"), "-p", "no:cacheprovider", "-q"]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *options, str(test)),
        env=environment | {"TMPDIR": str(folder), "PYTHONPATH": str(TESTS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
