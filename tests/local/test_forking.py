"""A module that is forked from the warm interpreter runs as one that is started by itself."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from tollgate_local.errors import LocalError
from tollgate_local.forking import ForkServer
from tollgate_local.processes import run_forked
from waiting import until

# Run as `python -m`, so it must be importable; tests give its folder in PYTHONPATH of the server's environment.
MODULE = "forked_child"
PROGRAM = dedent(
    """
    import os, random, signal, sys
    if __name__ == "__main__":
        print(sys.argv[1:], os.environ.get("TOLLGATE_GIVEN"), os.getcwd(), os.getsid(0) == os.getpid())
        print(random.random(), flush=True)
        if "wait" in sys.argv:
            signal.pause()
        sys.exit(int(sys.argv[-1]))
    """
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    (tmp_path / f"{MODULE}.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = ForkServer()
    yield server
    server.close()


async def run(server: ForkServer, folder: Path, *arguments: str) -> tuple[int, list[str]]:
    log_file = folder / "log"
    with log_file.open("wb") as log:
        argv = (sys.executable, "-m", MODULE, *arguments)
        process = server.start(argv, {**os.environ, "TOLLGATE_GIVEN": "yes"}, log)
    return await process.wait(), log_file.read_text().splitlines()


async def test_it_has_its_arguments_environment_output_and_exit_code(server: ForkServer, tmp_path: Path) -> None:
    code, [told, first] = await run(server, tmp_path, "4")
    assert (code, told) == (4, "['4'] yes / True")
    code, [_, second] = await run(server, tmp_path, "0")
    assert code == 0
    assert first != second, "children share no random numbers"


async def test_a_signal_ends_it_and_is_reported(server: ForkServer, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = server.start((sys.executable, "-m", MODULE, "wait", "0"), os.environ, log)
    assert process.returncode is None
    assert psutil.Process(process.pid).name() in {MODULE, psutil.Process().name(), "python", "python3"}
    os.kill(process.pid, signal.SIGTERM)
    assert await process.wait() == -signal.SIGTERM


async def test_a_server_that_has_ended_is_an_error(server: ForkServer, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = server.start((sys.executable, "-m", MODULE, "wait", "0"), os.environ, log)
        try:
            server.close()
            with pytest.raises(LocalError, match="the fork server ended with exit code"):
                await process.wait()
            with pytest.raises(LocalError, match="the fork server has ended"):
                await asyncio.to_thread(server.start, (sys.executable, "-m", MODULE, "0"), os.environ, log)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    await until(lambda: not psutil.pid_exists(process.pid) or psutil.Process(process.pid).status() == "zombie")


async def test_a_command_that_fails_tells_its_last_lines() -> None:
    with pytest.raises(LocalError, match=r"(?s)a promo code failed with exit code 1\n.*No module named nothing_there"):
        await run_forked("a promo code", (sys.executable, "-m", "nothing_there"), {})
